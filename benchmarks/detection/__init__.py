"""Detection benchmarks."""
