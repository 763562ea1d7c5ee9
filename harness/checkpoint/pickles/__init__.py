"""Pickles, interpreted without building anything but plain values."""
