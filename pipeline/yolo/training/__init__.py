"""Train a model with Ultralytics."""
