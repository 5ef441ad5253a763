"""Restore an iteration in a folder of its own, and prove that it is the one that was recorded."""
