"""Register the model of a run as a version of the registered model, after checks that nobody can skip."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.metric_names import HIGH, LOW, get_main_metric
from pipeline.core.tasks import TASKS, Task
from pipeline.runtime.code_state import COMMIT_TAG, DIRTY_TAG
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.metric_points import TEST_PREFIX
from pipeline.tracking.store.model_upload import TILES_TAG, find_model
from pipeline.tracking.store.registry.registered_model import (
    CHALLENGER,
    CHAMPION,
    ensure_registered_model,
    find_aliased_version,
    hold_registry_lock,
)
from pipeline.tracking.store.run_changes import find_active_run
from pipeline.tracking.store.run_tags import (
    DATA_TAG,
    DEFAULTS_TAG,
    KEY_TAG,
    PARENT_TAG,
    REASON_TAG,
    STAGE_TAG_PREFIX,
    WEIGHTS_TAG,
)

TASK_TAG: Final = "finetrack.task"
LEAK_TAG: Final = "finetrack.data.leak"
COPIED_TAGS: Final = (TASK_TAG, KEY_TAG, DATA_TAG, WEIGHTS_TAG, DEFAULTS_TAG, COMMIT_TAG, DIRTY_TAG, LEAK_TAG)
"""Tags of a run that its version has, too."""
VERSIONS_TAG: Final = "mlflow.modelVersions"
"""Tag of a logged model by which MLflow's pages show its versions; a server sets it itself."""
_RESULT_PREFIXES: Final = (TEST_PREFIX, "best/")


class RegisteredVersion(NamedTuple):
    """A version of the registered model.

    Attributes:
        name: Of the registered model.
        version: Its number, as text.
        run_id: The run of its training.
        is_new: Whether it was registered by this call.
        alias: The one that it has now: challenger, champion, or None for none of them.
        note: What a user of the version has to know; empty if there is nothing.
    """

    name: str
    version: str
    run_id: str
    is_new: bool
    alias: str | None = CHALLENGER
    note: str = ""


def register_run(
    store: MlflowClientCache, run_id: str, name: str, *, is_challenger: bool = True
) -> RegisteredVersion:
    """Register the model of a run; a run has one version.

    Args:
        store: Of the run.
        run_id: A training that was evaluated.
        name: Of the registered model, which is created if there is none.
        is_challenger: Whether the version gets the alias `challenger`, which the champion never gets.

    Raises:
        UserError: The run has no usable result, or MLflow does not answer.
    """
    with hold_registry_lock(store.target):
        run = find_active_run(store, run_id)
        task = require_registrable(run, run_id)
        logged = _require_model(store, run)
        ensure_registered_model(store, name)
        known = _find_version(store, run_id, name)
        version = known or _create_version(store, run, logged, name=name, task=task)
        is_champion = version == find_aliased_version(store, name, CHAMPION)
        if is_challenger and not is_champion:
            store.client.set_registered_model_alias(name, CHALLENGER, version)
        has_alias = find_aliased_version(store, name, CHALLENGER) == version
        alias = CHAMPION if is_champion else CHALLENGER if has_alias else None
        return RegisteredVersion(name, version, run_id, known is None, alias, logged.tags.get(TILES_TAG, ""))


def require_registrable(run: Any, run_id: str) -> Task:
    """Require a training that finished, was evaluated, and has results that are numbers; return its task.

    Args:
        run: Of MLflow; None if there is none.
        run_id: Its id, for messages.

    Raises:
        UserError: It is not one, and why.
    """
    if run is None:
        raise UserError(f"there is no MLflow run {run_id}, or it was deleted")
    tags, named = run.data.tags, f"{run.info.run_name} ({run_id[:8]})"
    if f"{STAGE_TAG_PREFIX}finetune" not in tags:
        parent = tags.get(PARENT_TAG)
        advice = f": register its training, {parent[:8]}" if parent else ""
        raise UserError(f"the run {named} trained no model{advice}")
    if run.info.status != "FINISHED":
        reason = f": {tags[REASON_TAG]}" if tags.get(REASON_TAG) else ""
        raise UserError(
            f"the run {named} is {run.info.status}, and only FINISHED ones are registered{reason}"
        )
    task = next((known for known in TASKS if known == tags.get(TASK_TAG)), None)
    main = TEST_PREFIX + get_main_metric(task) if task else ""
    if task is None or main not in run.data.metrics:
        raise UserError(
            f"the run {named} has no result on test: evaluate it first (`dvc repro`, `dvc exp run`)"
        )
    _require_finite(run.data.metrics, named)
    return task


def _require_finite(metrics: Mapping[str, float], named: str) -> None:
    wrong = sorted(
        name
        for name, value in metrics.items()
        if name.startswith(_RESULT_PREFIXES) and not math.isfinite(value)
    )
    if wrong:
        raise UserError(f"the run {named} has {wrong[0]}={metrics[wrong[0]]}: such a model is not registered")


def _require_model(store: MlflowClientCache, run: Any) -> Any:
    logged = find_model(store, run)
    if logged is None or str(logged.status) != "READY":
        raise UserError(
            f"MLflow has no complete model of the run {run.info.run_name} ({run.info.run_id[:8]}): "
            "run `python -m pipeline send`, then try again"
        )
    return logged


def _find_version(store: MlflowClientCache, run_id: str, name: str) -> str | None:
    found = store.client.search_model_versions(f"run_id = '{run_id}'")
    return next((str(item.version) for item in found if item.name == name), None)


def _create_version(store: MlflowClientCache, run: Any, logged: Any, *, name: str, task: Task) -> str:
    tags = {tag: run.data.tags[tag] for tag in COPIED_TAGS if tag in run.data.tags}
    with _as_default_store(store):
        version = store.client.create_model_version(
            name,
            f"models:/{logged.model_id}",
            run_id=run.info.run_id,
            tags={**tags, **_select_results(run.data.metrics, task), **_tag_tiles(logged)},
            description=_describe_version(run, task, logged),
            model_id=logged.model_id,
        )
    _show_version(store, logged, name, str(version.version))
    return str(version.version)


@contextlib.contextmanager
def _as_default_store(store: MlflowClientCache) -> Iterator[None]:
    """Make a database MLflow's default store: its registry looks for logged models there."""
    import mlflow

    if store.target.database is None:
        yield
        return
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(store.target.address)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _show_version(store: MlflowClientCache, logged: Any, name: str, version: str) -> None:
    """Let the page of the logged model name the version, as a server does by itself."""
    known = json.loads(store.client.get_logged_model(logged.model_id).tags.get(VERSIONS_TAG, "[]"))
    entry = {"name": name, "version": int(version)}
    if version not in {str(item.get("version")) for item in known if item.get("name") == name}:
        store.client.set_logged_model_tags(
            logged.model_id, {VERSIONS_TAG: json.dumps([*known, entry], allow_nan=False)}
        )


def _read_settings(run: Any) -> dict[str, Any]:
    """Return the settings that the evaluation of a run chose."""
    found: dict[str, Any] = json.loads(run.data.tags.get(DEFAULTS_TAG, "{}"))
    return found


def _tag_tiles(logged: Any) -> dict[str, str]:
    return {TILES_TAG: sentence} if (sentence := logged.tags.get(TILES_TAG)) else {}


def _select_results(metrics: Mapping[str, float], task: Task) -> dict[str, str]:
    """Return the main result on test as tags of the version, by which MLflow's page can be searched."""
    main = TEST_PREFIX + get_main_metric(task)
    found = {name: metrics[name] for name in (main, main + LOW, main + HIGH) if name in metrics}
    return {name: f"{value:.5f}" for name, value in found.items()}


def _describe_version(run: Any, task: Task, logged: Any) -> str:
    """Describe a version in MLflow's markdown: what it scores, how it predicts, what it was made from."""
    main = get_main_metric(task)
    value, *bounds = (run.data.metrics.get(f"{TEST_PREFIX}{main}{end}") for end in ("", LOW, HIGH))
    interval = f" ({bounds[0]:.3f} to {bounds[1]:.3f})" if None not in bounds else ""
    tags = run.data.tags
    predicts = ", ".join(f"{name} {value:.4g}" for name, value in _read_settings(run).items())
    return "\n\n".join(
        filter(
            None,
            (
                f"`{run.info.run_name}`: {main} {value:.3f}{interval} on test, for {task}.",
                f"It predicts with {predicts}, as chosen on val." if predicts else "",
                logged.tags.get(TILES_TAG),
                f"Data `{tags.get(DATA_TAG, '?')[:12]}`, commit `{tags.get(COMMIT_TAG, '?')[:12]}`.",
            ),
        )
    )
