"""Paired statistics as pure functions of arrays."""
