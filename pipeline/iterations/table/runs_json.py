"""Describe iterations as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.iterations.iteration import Iteration
from pipeline.iterations.iteration_state import get_state
from pipeline.iterations.select_iterations import find_main_metric
from pipeline.iterations.table.runs_table import list_row_differences


def describe_iterations(iterations: Sequence[Iteration]) -> list[dict[str, Any]]:
    """Return what is known of each iteration, as JSON values; `differs` is in relation to the next one."""
    differences = list_row_differences(iterations)
    return [
        {**describe_iteration(item), "differs": labels}
        for item, labels in zip(iterations, differences, strict=True)
    ]


def describe_iteration(iteration: Iteration) -> dict[str, Any]:
    """Return what is known of an iteration, as JSON values."""
    facts, started = iteration.facts, iteration.facts.get("started")
    return {
        "name": iteration.label,
        "kind": iteration.kind,
        "run_id": iteration.run_id,
        "state": get_state(iteration),
        "version": iteration.version,
        "aliases": list(iteration.aliases),
        "experiment": facts.get("experiment"),
        "revision": iteration.revision,
        "commit": facts.get("commit"),
        "dirty": facts.get("dirty"),
        "sweep": facts.get("sweep"),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds") if started else None,
        "seconds": facts.get("seconds"),
        "task": iteration.task,
        "classes": list(iteration.names),
        "data": iteration.data,
        "dataset": facts.get("dataset"),
        "sha256": iteration.sha256,
        "val": find_main_metric(iteration, "best/"),
        "test": find_main_metric(iteration, "test/"),
        "metrics": _select_finite(iteration.metrics),
        "predicts_with": dict(iteration.predicts_with),
        "params": dict(iteration.params),
        "reason": facts.get("reason"),
    }


def _select_finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in sorted(metrics.items()) if math.isfinite(value)}
