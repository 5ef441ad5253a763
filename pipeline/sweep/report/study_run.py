"""Open the run of a study in MLflow, which all of its processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from pipeline.tracking.runs import open_parent_run, prepare_store
from pipeline.tracking.session import RunSession
from pipeline.tracking.target import TrackingTarget

if TYPE_CHECKING:
    from pipeline.sweep.study.sweep_study import SweepStudy  # imports Optuna, which is slow

RUN_SECONDS: Final = 20.0
"""The other processes of the study wait so long at most for the run that this one creates."""


@contextmanager
def open_study_run(
    study: SweepStudy, target: TrackingTarget, *, place: str, command: str, tell: Callable[[str], None]
) -> Iterator[RunSession]:
    """Open the run of a study, or go on with it.

    Args:
        study: The study.
        target: The MLflow store and experiment.
        place: The database, or the project, that identified the run in earlier versions.
        command: The command that runs or continues the sweep.
        tell: Called with a sentence about a database that was copied, or may have been.

    Raises:
        UserError: A database cannot be used, or another process opens the run for minutes.
    """
    name = f"sweep {study.name}"
    tags = {"finetrack.sweep": study.name, "finetrack.sweep.command": command}
    prepare_store(target)  # before the other processes have to wait
    with ExitStack() as opened:
        with study.hold_run_key(f"{name} in {place}", tell) as key:
            session = opened.enter_context(
                open_parent_run(target, name=name, tags=tags, key=key, resume=True)
            )
            session.wait_for_run(min(target.timeout, RUN_SECONDS))  # a process that starts now finds it
        yield session
