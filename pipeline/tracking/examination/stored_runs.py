"""What an examination asks of a store; `database_runs` and `server_runs` answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pipeline.tracking.store.tracked_runs import TrackedRun


class RunWithoutModel(NamedTuple):
    """A finished training whose model is not there.

    Attributes:
        run_id: Its id.
        name: Its name.
        reason: What is missing.
    """

    run_id: str
    name: str
    reason: str


class StoredRuns(Protocol):
    """Runs of one experiment. No method changes the store, or migrates it."""

    def list_running(self) -> Sequence[TrackedRun]:
        """List the runs that are RUNNING."""

    def get_run(self, run_id: str) -> TrackedRun | None:
        """Return a run of any experiment; None if there is none, or if it was deleted."""

    def list_children(self, run_id: str) -> Sequence[TrackedRun]:
        """List the child runs of a run, such as further evaluations."""

    def list_without_model(self) -> Sequence[RunWithoutModel]:
        """List finished trainings whose model is not there, the newest first."""
