"""The catalogue: what is measured, and how."""
