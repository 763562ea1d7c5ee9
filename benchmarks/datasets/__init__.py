"""Data sets: what must lie where, whether it does, and a small sample of each."""
