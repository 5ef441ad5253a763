"""Add files, tags and results to a run that has ended; its status and times stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.tracking.sanitize import sanitize_metrics, sanitize_tags
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.outage import describe_failure
from pipeline.tracking.store.run_changes import find_active_run, log_tags
from pipeline.tracking.target import TrackingTarget


class RunAddition(NamedTuple):
    """What is added to a run.

    Attributes:
        metrics: Results; names are made legal, values that are not numbers are left out.
        tags: Tags; names are made legal.
        files: Files and folders, which keep their names.
        folder: Of the artifacts that the files come into.
    """

    metrics: Mapping[str, Any]
    tags: Mapping[str, Any]
    files: tuple[Path, ...] = ()
    folder: str = ""


def add_to_run(target: TrackingTarget, run_id: str, addition: RunAddition) -> None:
    """Add to a run: its files first, so that no tag names a file that the run has not.

    Args:
        target: MLflow's store.
        run_id: The run.
        addition: What is added.

    Raises:
        UserError: MLflow does not answer, has no such run, or refuses; a part may be logged.
    """
    store = MlflowClientCache(target)
    try:
        if find_active_run(store, run_id) is None:
            raise UserError(f"MLflow has no run {run_id} any more")
        for file in addition.files:
            _upload(store, run_id, file, addition.folder)
        _log_results(store, run_id, addition)
    except UserError:
        raise
    except Exception as error:  # of MLflow, requests, SQLAlchemy
        raise UserError(f"MLflow could not be written to: {describe_failure(error)}") from error


def _upload(store: MlflowClientCache, run_id: str, file: Path, folder: str) -> None:
    if file.is_dir():
        store.client.log_artifacts(run_id, str(file), "/".join(part for part in (folder, file.name) if part))
    else:
        store.client.log_artifact(run_id, str(file), folder or None)


def _log_results(store: MlflowClientCache, run_id: str, addition: RunAddition) -> None:
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in sanitize_metrics(addition.metrics).items()]
    store.client.log_batch(run_id, metrics=metrics)
    log_tags(store, run_id, sanitize_tags(addition.tags))
