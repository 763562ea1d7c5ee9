"""Checkpoint files of any publisher, read safely and brought into the canonical form."""
