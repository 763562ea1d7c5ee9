"""The forms of checkpoint files: what lies where in each, without reading the tensors' values."""
