"""Iterations as people name them: runs, registered models, DVC experiments, revisions, files."""
