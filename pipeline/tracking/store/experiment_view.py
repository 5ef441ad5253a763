"""A saved view of MLflow's table of runs: whole names, then results, then the values that people change most.

MLflow keeps saved views as tags of the experiment: JSON with the state of the page, which is JSON itself.
It is in the menu Views of the page, and has an address: `runs?viewStateShareKey=finetrack-1`.
"""

from __future__ import annotations

import json
from typing import Final

from pipeline.core.metric_names import HIGH, LOW, MAIN_METRICS

VIEW_TAG: Final = "mlflow.sharedViewState.finetrack-1"
"""The tag with the view. A view with other columns gets another number: users may have changed this one."""
_VIEW_NAME: Final = "finetrack: results"
_VIEW_TIME_MS: Final = 1_767_225_600_000
"""When the view was made, in milliseconds since 1970: the same in all experiments."""
_METRICS: Final = (
    *(f"best/{name}" for name in MAIN_METRICS),
    *(f"test/{name}{ending}" for name in MAIN_METRICS for ending in ("", LOW, HIGH)),
    "seconds",
)
"""The table leaves out those that no run has."""
_PARAMS: Final = tuple(
    f"finetune.{name}" for name in ("strategy", "lr0", "epochs", "imgsz", "batch", "optimizer")
)
_TAGS: Final = ("finetrack.sweep", "finetrack.reason")
_NAME_WIDTH: Final = 330
_METRIC_WIDTH: Final = 130
"""Pixels, so that names of runs and metrics are not cut."""


def build_view() -> str:
    """Build the value of `VIEW_TAG`."""
    name, created, duration, data = map(_attribute, ("Run Name", "Created", "Duration", "Dataset"))
    metrics = [f"metrics.`{name}`" for name in _METRICS]
    others = [*(f"params.`{name}`" for name in _PARAMS), *(f"tags.`{name}`" for name in _TAGS)]
    state = {
        "selectedColumns": [*metrics, *others, data],
        "columnOrder": [name, created, *metrics, *others, duration, data],
        "columnWidths": {name: _NAME_WIDTH, **dict.fromkeys(metrics, _METRIC_WIDTH)},
    }
    times = {"createdAt": _VIEW_TIME_MS, "updatedAt": _VIEW_TIME_MS}
    view = {"name": _VIEW_NAME, **times, "state": json.dumps(state, allow_nan=False)}
    return json.dumps(view, allow_nan=False)


def _attribute(name: str) -> str:
    return f"attributes.`{name}`"
