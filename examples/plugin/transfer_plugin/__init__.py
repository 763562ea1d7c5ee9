"""Adds to the transfer harness by entry points; ``pyproject.toml`` says what."""
