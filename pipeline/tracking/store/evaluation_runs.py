"""Find or open the run of an evaluation: the training's own run, or a child of it for another evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from filelock import FileLock

from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.tracking.dataset_input import DIGEST_LENGTH, build_dataset_input
from pipeline.tracking.outbox import OutboxMessage
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.metric_points import TEST_PREFIX
from pipeline.tracking.store.run_changes import log_missing_params, log_tags
from pipeline.tracking.store.run_tags import (
    DATA_TAG,
    EVALUATE_PREFIX,
    EVALUATION_TAG,
    KEY_TAG,
    PARENT_TAG,
    STAGE_TAG_PREFIX,
    is_inherited,
)

CLAIM_WAIT_SECONDS: Final = 60.0
"""Seconds to wait for another evaluation of this project that looks for its run."""


def open_evaluation_run(
    store: MlflowClientCache, training_id: str, message: OutboxMessage, tags: Mapping[str, str]
) -> str:
    """Return the id of the run that an evaluation of a training logs to, marked as RUNNING.

    The first evaluation that has results logs to the run of the training. Another one of the same weights,
    or one on other data, has a child run of its own, with the training's parameters: one run shows one
    evaluation. An evaluation that is repeated, or goes on after a stop, finds its run by its key.

    Args:
        store: Of the training's run.
        training_id: The run of the training.
        message: Opens the evaluation; holds its key, parameters, its dataset, and the tags of a new run.
        tags: Of the stage: process, outbox, state.
    """
    key, dataset = message["evaluation"]["key"], message["evaluation"].get("dataset")
    params = message["evaluation"]["params"]
    marked = {**tags, EVALUATION_TAG: key}
    with FileLock(create_scratch_folder("locks") / "mlflow-runs.lock", timeout=CLAIM_WAIT_SECONDS):
        training = store.client.get_run(training_id)
        shared = drop_evaluate_params(params)
        child = None if training.data.tags.get(EVALUATION_TAG) == key else _find_child(store, training, key)
        has_results = child is not None and _has_results(child)
        if not has_results and _is_free(training, key, shared) and _is_same_data(training, dataset):
            run_id = training_id
            log_tags(store, run_id, marked)
            log_missing_params(store, run_id, shared)
        else:
            child = child or _create_child(store, training, message, {**marked, KEY_TAG: key})
            run_id = _complete_child(store, training, child, message, {**marked, KEY_TAG: key})
    store.client.update_run(run_id, status="RUNNING")
    return run_id


def _is_free(training: Any, key: str, params: Mapping[str, str]) -> bool:
    """Check whether the training's run can have the results of this evaluation.

    It must not have those of another one, or one that is running; and the parameters that the training shares
    with this evaluation, such as the seed, must be the same. `evaluate.*` of an earlier version, or of an
    evaluation that failed, decided nothing yet.
    """
    tags, known = training.data.tags, training.data.params
    if tags.get(EVALUATION_TAG) == key:
        return True
    if _has_results(training):
        return False
    if any(known.get(name, value) != value for name, value in params.items()):
        return False
    return EVALUATION_TAG not in tags or tags.get(f"{STAGE_TAG_PREFIX}evaluate") in {"failed", "killed"}


def _has_results(run: Any) -> bool:
    return any(name.startswith(TEST_PREFIX) for name in run.data.metrics)


def drop_evaluate_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters without those of `evaluate`, which a run gets with the results that they gave."""
    return {name: value for name, value in params.items() if not name.startswith(EVALUATE_PREFIX)}


def _is_same_data(training: Any, dataset: Mapping[str, Any] | None) -> bool:
    """Check whether an evaluation is on the dataset of the training, as far as both are known."""
    trained_on = training.data.tags.get(DATA_TAG)
    return dataset is None or trained_on is None or dataset["digest"] == trained_on


def _find_child(store: MlflowClientCache, training: Any, key: str) -> Any:
    """Find the child run of an evaluation; None where there is none.

    It is in the experiment of the training, which need not be the one of the configuration any more.
    """
    condition = f"tags.`{EVALUATION_TAG}` = '{key}' AND tags.`{PARENT_TAG}` = '{training.info.run_id}'"
    found = store.client.search_runs([training.info.experiment_id], condition, max_results=1)
    return found[0] if found else None


def _complete_child(
    store: MlflowClientCache, training: Any, child: Any, message: OutboxMessage, tags: Mapping[str, str]
) -> str:
    """Complete the child run of an evaluation, of which a stop may have left a part; return its id."""
    child_id = str(child.info.run_id)
    log_tags(store, child_id, tags)
    trained = drop_evaluate_params(training.data.params)
    log_missing_params(store, child_id, trained | message["evaluation"]["params"])
    _log_inputs(store, training, child_id, message["evaluation"].get("dataset"))
    return child_id


def _create_child(
    store: MlflowClientCache, training: Any, message: OutboxMessage, tags: Mapping[str, str]
) -> Any:
    inherited = {name: value for name, value in training.data.tags.items() if is_inherited(name)}
    return store.client.create_run(
        training.info.experiment_id,
        start_time=message["time"],
        tags={
            **inherited,
            **message["evaluation"]["tags"],
            **tags,
            PARENT_TAG: training.info.run_id,
        },
        run_name=f"{training.info.run_name} {message['name']}",
    )


def _log_inputs(
    store: MlflowClientCache, training: Any, child_id: str, dataset: Mapping[str, Any] | None
) -> None:
    """Log the training's model as what the evaluation used, and its own dataset or else the training's."""
    from mlflow.entities import LoggedModelInput

    datasets = list(training.inputs.dataset_inputs) if training.inputs else []
    if dataset:
        shown = dataset["digest"][:DIGEST_LENGTH]
        same = [item for item in datasets if item.dataset.digest == shown]
        datasets = same or [build_dataset_input(dataset)]
    outputs = training.outputs.model_outputs if training.outputs else []
    child = store.client.get_run(child_id)  # unlike a search, it returns the models
    known = child.inputs.model_inputs if child.inputs else []
    used = {item.model_id for item in outputs} - {item.model_id for item in known}
    if datasets or used:
        models = [LoggedModelInput(model_id) for model_id in sorted(used)]
        store.client.log_inputs(child_id, datasets=datasets, models=models)
