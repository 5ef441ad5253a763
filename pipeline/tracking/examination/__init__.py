"""Look at an MLflow store, its runs and the messages that wait for it, and change nothing."""
