"""Everything that touches OpenMMLab."""
