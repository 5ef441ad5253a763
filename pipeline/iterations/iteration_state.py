"""The state of an iteration in one word, for tables and filters."""

from __future__ import annotations

from typing import Final

from pipeline.iterations.iteration import Iteration

STATES: Final = ("finished", "failed", "killed", "pruned", "running", "dvc")
"""`pruned`: ended early by a sweep. `dvc`: DVC has it, and MLflow does not."""


def get_state(iteration: Iteration) -> str:
    """Return one of `STATES`, or MLflow's own word in lower case."""
    if iteration.status is None:
        return "dvc"
    if "pruned" in iteration.facts:
        return "pruned"
    return iteration.status.lower()
