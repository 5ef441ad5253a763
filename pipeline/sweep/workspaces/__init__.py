"""Workspaces of a sweep: clones of the project in which its jobs run, and what stays in them between jobs."""
