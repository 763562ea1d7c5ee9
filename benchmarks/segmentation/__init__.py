"""Segmentation benchmarks."""
