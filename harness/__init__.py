"""Who runs what, where and in which order."""

__version__ = "0.1.0"
