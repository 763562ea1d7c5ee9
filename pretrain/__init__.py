"""Pretraining of the backbones that the harness evaluates."""
