"""Hydra multirun sweeps of DVC experiments: python -m pipeline.sweep."""
