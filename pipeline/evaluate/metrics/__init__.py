"""Metrics of all tasks as pure functions of arrays."""
