"""Checks of the project: its folder, git, DVC, the configuration."""
