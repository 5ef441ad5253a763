"""Make iterations of MLflow's runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from pipeline.core.tasks import TASKS, Task
from pipeline.iterations.iteration import Iteration, ReferenceKind
from pipeline.tracking.store.registered_models import ModelVersionRecord
from pipeline.tracking.store.run_tags import (
    BASE_SEEN_TAG,
    DATA_TAG,
    DEFAULTS_TAG,
    EVALUATE_PREFIX,
    EXPERIMENT_TAG,
    PARENT_TAG,
    PRUNED_TAG,
    REASON_TAG,
    STAGE_TAG_PREFIX,
    TEST_DATA_TAG,
    WEIGHTS_TAG,
)
from pipeline.tracking.store.tracked_runs import TrackedRun
from pipeline.tracking.sweep_origin import TAG_NAMES

SECONDS_METRIC: Final = "seconds"
"""Seconds of training, as of the last epoch."""
_EFFECTIVE: Final = "effective."
"""Begins the parameters that a training derived from its configuration."""
_CONSTANTS: Final = re.compile(r"-?(NaN|Infinity)")


def is_training(run: TrackedRun) -> bool:
    """Check whether a run is that of a training."""
    return f"{STAGE_TAG_PREFIX}finetune" in run.tags


def is_evaluation(run: TrackedRun) -> bool:
    """Check whether a run is that of an evaluation alone: of a training that has another one, or no run."""
    return f"{STAGE_TAG_PREFIX}evaluate" in run.tags and not is_training(run)


def is_sweep(run: TrackedRun) -> bool:
    """Check whether a run is the parent of a sweep."""
    return f"{STAGE_TAG_PREFIX}sweep" in run.tags


def get_training_id(run: TrackedRun) -> str | None:
    """Return the id of the run whose training made the weights of a run; None if MLflow does not have it.

    The parent of an evaluation is its training; the parent of a training is a sweep.
    """
    return run.run_id if is_training(run) else run.tags.get(PARENT_TAG)


def build_run_iteration(
    run: TrackedRun,
    *,
    training: TrackedRun | None = None,
    version: ModelVersionRecord | None = None,
    reference: str | None = None,
    kind: ReferenceKind = "run",
) -> Iteration:
    """Make an iteration of a run.

    Args:
        run: Of a training, or of an evaluation.
        training: Of an evaluation, the run of its training: it has the val metrics.
        version: Of the registered model that the run made; None if it made none.
        reference: As the user typed it; the run's id by default.
        kind: What the user typed.
    """
    origin = training or run
    params, effective = _split_params({**run.params, **_select_later_values(run)})
    name = f"{version.name}/{version.version}" if version and kind == "version" else ""
    return Iteration(
        reference=run.run_id if reference is None else reference,
        kind=kind,
        label=name or run.name,
        task=_read_task(run.tags.get("finetrack.task")),
        names=() if params.get("finetune.single_cls") else run.classes or origin.classes,
        run_id=run.run_id,
        status=run.status,
        version=version.version if version else None,
        aliases=version.aliases if version else (),
        params=params,
        metrics={**_select_val_metrics(origin.metrics), **run.metrics},
        data=run.tags.get(DATA_TAG),
        sha256=run.tags.get(WEIGHTS_TAG) or origin.tags.get(WEIGHTS_TAG),
        predicts_with=read_json_mapping(run.tags.get(DEFAULTS_TAG)),
        tags=run.tags,
        facts=_collect_facts(run, origin, effective),
    )


def _collect_facts(run: TrackedRun, origin: TrackedRun, effective: Mapping[str, Any]) -> dict[str, Any]:
    tags = run.tags
    known = {
        "started": run.started,
        "seconds": origin.metrics.get(SECONDS_METRIC),
        "commit": tags.get("finetrack.git.commit"),
        "dirty": None if (dirty := tags.get("finetrack.git.dirty")) is None else dirty == "true",
        "experiment": tags.get(EXPERIMENT_TAG),
        "sweep": tags.get(TAG_NAMES["sweep"]),
        "dataset": run.dataset or origin.dataset,
        "tested": tags.get(TEST_DATA_TAG),
        "base_seen": tags.get(BASE_SEEN_TAG),
        "training": get_training_id(run),
        "model_id": origin.model_id,
        "pruned": tags.get(PRUNED_TAG),
        "reason": tags.get(REASON_TAG),
        "effective": effective or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _split_params(params: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configuration and what the training derived from it, with values of their types."""
    typed = {name: parse_param(text) for name, text in params.items()}
    effective = {name.removeprefix(_EFFECTIVE): typed.pop(name) for name in params if _is_effective(name)}
    return typed, effective


def _select_later_values(run: TrackedRun) -> dict[str, str]:
    """Return the values of `evaluate` that gave the results, where the parameters say earlier ones."""
    return {
        name: value
        for name, value in run.tags.items()
        if name.startswith(EVALUATE_PREFIX) and name in run.params
    }


def _is_effective(name: str) -> bool:
    return name.startswith(_EFFECTIVE)


@lru_cache(8192)
def parse_param(text: str) -> Any:
    """Return the value of a parameter that `sanitize_params` wrote: text that is no JSON is a string."""
    try:
        return text if _CONSTANTS.fullmatch(text) else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _select_val_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("best/")}


def read_json_mapping(text: str | None) -> dict[str, Any]:
    """Read a tag that holds a JSON mapping; empty if there is none."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_task(text: str | None) -> Task | None:
    return next((task for task in TASKS if task == text), None)
