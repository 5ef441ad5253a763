"""Run one job of a sweep: a workspace of its own, DVC's commands, and why a job failed."""
