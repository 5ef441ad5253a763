"""Checkpoints of a training, and the state in them that a resumed training continues from."""
