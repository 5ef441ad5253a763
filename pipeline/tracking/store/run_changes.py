"""Change a run: tags, parameters, and the end of a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pipeline.tracking.outbox import OutboxMessage
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.run_tags import (
    OUTBOX_TAG,
    PROCESS_TAG,
    PRUNED_TAG,
    REASON_TAG,
    STAGE_TAG_PREFIX,
)

STATUS_WORST_FIRST: Final = ("failed", "killed", "finished")
MAX_PER_BATCH: Final = 100
"""MLflow's limit of parameters or tags in one call."""


def log_tags(store: MlflowClientCache, run_id: str, values: Mapping[str, str]) -> None:
    """Set tags."""
    from mlflow.entities import RunTag

    tags = [RunTag(name, value) for name, value in values.items()]
    for start in range(0, len(tags), MAX_PER_BATCH):
        store.client.log_batch(run_id, tags=tags[start : start + MAX_PER_BATCH])


def log_missing_params(store: MlflowClientCache, run_id: str, values: Mapping[str, str]) -> dict[str, str]:
    """Log the parameters that the run lacks, and return those that it had before."""
    from mlflow.entities import Param

    known: dict[str, str] = store.client.get_run(run_id).data.params
    new = [Param(name, value) for name, value in values.items() if name not in known]
    for start in range(0, len(new), MAX_PER_BATCH):
        store.client.log_batch(run_id, params=new[start : start + MAX_PER_BATCH])
    return known


def find_active_run(store: MlflowClientCache, run_id: str | None) -> Any:
    """Return the run; None if it does not exist or was deleted."""
    run = store.get_run(run_id) if run_id else None
    return run if run and run.info.lifecycle_stage == "active" else None


def delete_end_tags(store: MlflowClientCache, run_id: str) -> None:
    """Delete what a run says about an earlier end: it goes on."""
    for name in {REASON_TAG, PRUNED_TAG} & store.client.get_run(run_id).data.tags.keys():
        store.client.delete_tag(run_id, name)


def end_stage(store: MlflowClientCache, run_id: str, message: OutboxMessage) -> None:
    """End one stage of a run; the status of the run is that of its worst stage.

    A stage that only adds to a run keeps the run's end time, which the training set.
    """
    run = store.client.get_run(run_id)
    stages = {name: value for name, value in run.data.tags.items() if name.startswith(STAGE_TAG_PREFIX)}
    stages[STAGE_TAG_PREFIX + message["stage"]] = message["status"]
    for name, value in {STAGE_TAG_PREFIX + message["stage"]: message["status"], **message["tags"]}.items():
        store.client.set_tag(run_id, name, value)
    worst = next(status for status in STATUS_WORST_FIRST if status in stages.values())
    time = run.info.end_time if message["adds"] and run.info.end_time else message["time"]
    obsolete = {PROCESS_TAG, OUTBOX_TAG} | ({REASON_TAG} if worst == "finished" else set())
    for name in obsolete & run.data.tags.keys():
        store.client.delete_tag(run_id, name)
    store.client.set_terminated(run_id, worst.upper(), end_time=time)
