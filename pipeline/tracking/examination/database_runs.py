"""Read runs from the SQLite database without MLflow, as a store that is examined."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlparse

from pipeline.tracking.examination.database_file import open_read_only
from pipeline.tracking.examination.stored_runs import RunWithoutModel
from pipeline.tracking.store.database import find_old_roots
from pipeline.tracking.store.run_tags import PARENT_TAG, STAGE_TAG_PREFIX
from pipeline.tracking.store.tracked_runs import TrackedRun
from pipeline.tracking.target import TrackingTarget

READY: Final = 2
"""The state of a logged model whose files are complete: LoggedModelStatus of MLflow."""
_RUNS: Final = (
    "SELECT run_uuid, name, status, start_time, end_time FROM runs WHERE lifecycle_stage = 'active'"
)
_OF_EXPERIMENT: Final = "experiment_id IN (SELECT experiment_id FROM experiments WHERE name = ?)"
_FINISHED: Final = f"""
SELECT runs.run_uuid, runs.name, models.status, models.artifact_location
FROM runs
JOIN tags ON tags.run_uuid = runs.run_uuid
    AND tags.key = '{STAGE_TAG_PREFIX}finetune' AND tags.value = 'finished'
LEFT JOIN logged_models AS models ON models.source_run_id = runs.run_uuid
    AND models.lifecycle_stage = 'active'
WHERE runs.lifecycle_stage = 'active' AND runs.status = 'FINISHED' AND runs.{_OF_EXPERIMENT}
ORDER BY runs.start_time DESC
"""


class DatabaseRuns:
    """Runs of one experiment in a SQLite file; see `StoredRuns`. Errors of SQLite are raised as they are."""

    def __init__(self, target: TrackingTarget, database: Path) -> None:
        """Note what is read.

        Args:
            target: Names the experiment.
            database: The file, which exists.
        """
        self._target, self._database = target, database

    def list_running(self) -> Sequence[TrackedRun]:
        """List the runs that are RUNNING, with their tags."""
        with closing(open_read_only(self._database)) as connection:
            condition = f"AND status = 'RUNNING' AND {_OF_EXPERIMENT}"
            rows = connection.execute(f"{_RUNS} {condition}", (self._target.experiment,)).fetchall()
            return [_read_run(connection, row) for row in rows]

    def get_run(self, run_id: str) -> TrackedRun | None:
        """Return a run; None if there is none, or if it was deleted."""
        with closing(open_read_only(self._database)) as connection:
            row = connection.execute(f"{_RUNS} AND run_uuid = ?", (run_id,)).fetchone()
            return _read_run(connection, row) if row else None

    def list_children(self, run_id: str) -> Sequence[TrackedRun]:
        """List the child runs of a run."""
        with closing(open_read_only(self._database)) as connection:
            children = "AND run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?)"
            rows = connection.execute(f"{_RUNS} {children}", (PARENT_TAG, run_id)).fetchall()
            return [_read_run(connection, row) for row in rows]

    def list_without_model(self) -> Sequence[RunWithoutModel]:
        """List finished trainings whose model is not there, not complete, or without its files."""
        with closing(open_read_only(self._database)) as connection:
            rows = connection.execute(_FINISHED, (self._target.experiment,)).fetchall()
            old_roots = find_old_roots(connection, self._target)
        root = self._target.artifact_root or ""
        judged = [
            (run, str(name), _judge_model(status, place, old_roots, root))
            for run, name, status, place in rows
        ]
        complete = {run for run, _, reason in judged if not reason}  # a run may have several models
        missing = {run: RunWithoutModel(run, name, reason) for run, name, reason in judged}
        return [item for run, item in missing.items() if run not in complete]


def _read_run(connection: sqlite3.Connection, row: Sequence[Any]) -> TrackedRun:
    run_id, name, status, started, ended = row
    tables = {
        table: dict(connection.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,)))
        for table in ("params", "tags", "latest_metrics")
    }
    return TrackedRun(
        run_id,
        name or "",
        status,
        (started or 0) / 1000,
        ended / 1000 if ended else None,
        tables["params"],
        tables["latest_metrics"],
        tables["tags"],
    )


def _judge_model(status: int | None, place: str | None, old_roots: Sequence[str], root: str) -> str:
    """Return what is missing of a model; empty if it is complete. Remote files are not asked for.

    The next command updates addresses below an old root (`update_artifact_locations`).
    """
    if place is None:
        return "MLflow has none"
    if status != READY:
        return "its upload is not complete"
    old = next((each for each in old_roots if place.startswith(f"{each}/")), "")
    found = urlparse(root + place.removeprefix(old) if old else place)
    if found.scheme != "file" or (Path(unquote(found.path)) / "MLmodel").is_file():
        return ""
    return f"its files are gone from {unquote(found.path)}"
