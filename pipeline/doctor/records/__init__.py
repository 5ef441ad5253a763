"""Checks of records: the MLflow store, its runs and models, unsent messages, dvc.lock and run.json."""
