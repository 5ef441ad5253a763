"""Checks of what killed processes left: locks, temporary files, orphaned stages, stopped sweeps."""
