"""Log runs to MLflow through an outbox on disk; the only package that imports MLflow."""
