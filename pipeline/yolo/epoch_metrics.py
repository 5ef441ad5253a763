"""Names of the metrics of an epoch for each task, and the metric that decides about the best epoch.

Box metrics have the same names in every task that has boxes. Segment adds `metrics/mask/mAP50-95`, pose
`metrics/pose/mAP50-95`; classify has `metrics/top1` and `metrics/top5`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from pipeline.core.metric_names import FITNESS, METRICS, VAL_GROUP, get_main_metric
from pipeline.core.tasks import TASKS, Task

FITNESS_COLUMN: Final = f"{VAL_GROUP}/{FITNESS}"
WATCHED_METRICS: Final[dict[Task, str]] = {
    task: FITNESS_COLUMN if task in METRICS[FITNESS].tasks else f"{VAL_GROUP}/{get_main_metric(task)}"
    for task in TASKS
}
"""The metric that is highest in the best epoch. Early stopping and gradual unfreezing use it too.

Ultralytics' fitness of segment and pose is the sum of the mAP50-95 of boxes and of masks or key points. It is
kept: from detection weights, boxes are found epochs before the first mask counts, and that is progress too.
For classify Ultralytics takes the mean of top-1 and top-5; here it is top-1, the figure that people read.
"""


_COLUMNS: Final = {
    metric.ultralytics: f"{VAL_GROUP}/{metric.name}" for metric in METRICS.values() if metric.ultralytics
}


def convert_metric_name(name: str) -> str:
    """Convert Ultralytics' metric name into ours: `metrics/mAP50(M)` becomes `metrics/mask/mAP50`."""
    return _COLUMNS.get(name, name)


def convert_figures(figures: Mapping[str, float], fitness: float | None, task: Task) -> dict[str, float]:
    """Convert the figures of an epoch to our names, without learning rates.

    The fitness is added for tasks where it decides about the best epoch. Figures without a value are left
    out, such as the precision where nothing was found.

    Args:
        figures: Losses and metrics under Ultralytics' names, and `lr/*`.
        fitness: Of the validation; None without one.
        task: The task.
    """
    kept = {name: float(value) for name, value in figures.items() if not name.startswith("lr/")}
    named = {convert_metric_name(name): value for name, value in kept.items() if math.isfinite(value)}
    if WATCHED_METRICS[task] == FITNESS_COLUMN and fitness is not None:
        named[FITNESS_COLUMN] = float(fitness)
    return named


def select_val_metrics(row: Mapping[str, float]) -> dict[str, float]:
    """Select the val metrics of an epoch, under names without `metrics/`."""
    prefix = f"{VAL_GROUP}/"
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def list_curve_points(rows: Sequence[Mapping[str, float]]) -> list[tuple[int, str, str, float]]:
    """List (epoch, curve, split, value) of every loss and metric: one table that fits every task."""
    points = []
    for row in rows:
        for name, value in row.items():
            group, _, curve = name.partition("/")
            split = {VAL_GROUP: "val", "val": "val", "train": "train"}.get(group)
            points += [(int(row["epoch"]), curve, split, value)] if split else []
    return points


def sum_losses(rows: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """Sum the losses of each validated epoch, on train and on val. Only losses computed on both count.

    The losses of a teacher, of segmentation classes (YOLO26) and of a pose's flow are 0 on val.
    """
    rows = [row for row in rows if any(name.startswith("val/") for name in row)]
    names = [name.removeprefix("val/") for name in dict.fromkeys(chain(*rows)) if name.startswith("val/")]
    both = [name for name in names if any(row[f"val/{name}"] for row in rows)]
    train, val = ([sum(row[f"{part}/{name}"] for name in both) for row in rows] for part in ("train", "val"))
    return train, val
