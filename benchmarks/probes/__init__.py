"""Probes on frozen features: torch, numpy and scikit-learn only."""
