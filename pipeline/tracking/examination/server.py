"""Ask a tracking server whether it answers and lets this user in; its version and its clock."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

from pipeline.tracking.examination.stored_runs import RunWithoutModel
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.run_tags import PARENT_TAG, STAGE_TAG_PREFIX
from pipeline.tracking.store.tracked_runs import RunReader, TrackedRun
from pipeline.tracking.target import TrackingTarget

ANSWER_SECONDS: Final = 4.0
"""A server that takes longer for one question is reported as one that does not answer."""
MAX_RUNS: Final = 500
"""Finished trainings that are asked for their model, the newest: a server needs a second for them."""


class ServerAnswer(NamedTuple):
    """What a server says of itself.

    Attributes:
        version: Of its MLflow; empty if it does not say.
        clock_ahead: Seconds that its clock is ahead of this one, exact to a second; None if it does not say.
        has_experiment: Whether the experiment of the configuration exists.
    """

    version: str
    clock_ahead: float | None
    has_experiment: bool


def ask_server(target: TrackingTarget) -> ServerAnswer:
    """Ask a server for the experiment, which needs its credentials, and for its version.

    Raises:
        TrackingUnavailableError: It does not answer, or refuses; the message says why.
    """
    hurried = limit_answer(target)
    reader = RunReader(hurried)
    known = reader.experiment_id is not None
    version, ahead = "", None
    with suppress(Exception):  # a server behind another program need not have this page
        version, ahead = _read_version(hurried)
    return ServerAnswer(version, ahead, known)


def limit_answer(target: TrackingTarget) -> TrackingTarget:
    """Return the same store with a short time for each answer."""
    return replace(target, timeout=min(target.timeout, ANSWER_SECONDS))


def _read_version(target: TrackingTarget) -> tuple[str, float | None]:
    """Return the version of a server, and how many seconds its clock is ahead."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    MlflowClientCache(target)  # sets MLflow's environment
    before = time.time()
    answer = http_request(get_default_host_creds(target.uri), "/version", "GET", timeout=target.timeout)
    now, date = (before + time.time()) / 2, answer.headers.get("Date")
    ahead = parsedate_to_datetime(date).timestamp() + 0.5 - now if date else None
    return (answer.text.strip()[:20] if answer.status_code == 200 else ""), ahead


class ServerRuns:
    """Runs of one experiment on a server; see `StoredRuns`. Raises `TrackingUnavailableError`."""

    def __init__(self, target: TrackingTarget) -> None:
        self._reader = RunReader(limit_answer(target))

    def list_running(self) -> list[TrackedRun]:
        """List the runs that are RUNNING."""
        return self._reader.search_runs("attributes.status = 'RUNNING'")

    def get_run(self, run_id: str) -> TrackedRun | None:
        """Return a run; None if there is none, or if it was deleted."""
        return self._reader.get_run(run_id)

    def list_children(self, run_id: str) -> list[TrackedRun]:
        """List the child runs of a run."""
        return self._reader.search_runs(f"tags.`{PARENT_TAG}` = '{run_id}'")

    def list_without_model(self) -> list[RunWithoutModel]:
        """List finished trainings without a model, of the newest ones."""
        condition = f"attributes.status = 'FINISHED' AND tags.`{STAGE_TAG_PREFIX}finetune` = 'finished'"
        found = self._reader.search_runs(condition, limit=MAX_RUNS)
        lacking = [run for run in found if not run.model_id]
        return [RunWithoutModel(run.run_id, run.name, "MLflow has none") for run in lacking]
