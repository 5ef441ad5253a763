"""The names of all metrics: ours, Ultralytics', of which tasks, and which is a task's main metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from pipeline.core.tasks import TASKS, Task

MAP50_95: Final = "mAP50-95"
MAP50: Final = "mAP50"
PRECISION: Final = "precision"
RECALL: Final = "recall"
F1: Final = "F1"
TOP1: Final = "top1"
TOP5: Final = "top5"
FITNESS: Final = "fitness"
OVERFITTING_GAP: Final = "overfitting/gap"
THREADS: Final = "system/threads"
"""The average number of torch's CPU threads in an epoch."""

LOW: Final = "_low"
HIGH: Final = "_high"
"""Behind a metric's name: the bounds of its 95% interval."""

VAL_GROUP: Final = "metrics"
"""The group of the val metrics among the columns of a training's epochs: metrics/mAP50."""

TASK_PREFIXES: Final[dict[Task, str]] = {"segment": "mask/", "pose": "pose/"}
"""Before the names of metrics of masks and poses; those of boxes, rotated or not, have no prefix."""

_BOX_TASKS: Final[tuple[Task, ...]] = ("detect", "obb", "segment", "pose")


class Metric(NamedTuple):
    """One metric.

    Attributes:
        name: Ours, in reports/metrics.json, reports/training.json, curves.csv and MLflow.
        ultralytics: Ultralytics' key; None for a metric that Ultralytics does not compute.
        tasks: The tasks that have it, on val or on test.
        main_for: The tasks that are judged by it.
        per_class: The name of the same metric of one class; empty where there is none.
        higher_is_better: Whether more of it is better.
    """

    name: str
    ultralytics: str | None
    tasks: tuple[Task, ...]
    main_for: tuple[Task, ...] = ()
    per_class: str = ""
    higher_is_better: bool = True


def _build_detection_metrics(
    prefix: str, ending: str, tasks: tuple[Task, ...], main_for: tuple[Task, ...]
) -> tuple[Metric, ...]:
    """Build the metrics of boxes, masks or poses.

    Args:
        prefix: Before our names.
        ending: Behind Ultralytics' keys.
        tasks: The tasks that have them.
        main_for: The tasks that are judged by the mAP50-95.
    """
    at_threshold = (*tasks, "classify") if not prefix else tasks  # classify has these of whole images
    return (
        Metric(prefix + MAP50_95, f"metrics/mAP50-95{ending}", tasks, main_for, prefix + "AP50-95"),
        Metric(prefix + MAP50, f"metrics/mAP50{ending}", tasks, per_class=prefix + "AP50"),
        Metric(prefix + PRECISION, f"metrics/precision{ending}", at_threshold, per_class=prefix + PRECISION),
        Metric(prefix + RECALL, f"metrics/recall{ending}", at_threshold, per_class=prefix + RECALL),
        Metric(prefix + F1, None, at_threshold, per_class=prefix + F1),
    )


METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        *_build_detection_metrics("mask/", "(M)", ("segment",), ("segment",)),
        *_build_detection_metrics("pose/", "(P)", ("pose",), ("pose",)),
        *_build_detection_metrics("", "(B)", _BOX_TASKS, ("detect", "obb")),
        Metric(TOP1, "metrics/accuracy_top1", ("classify",), ("classify",)),
        Metric(TOP5, "metrics/accuracy_top5", ("classify",)),
        Metric(FITNESS, "fitness", ("segment", "pose")),
        Metric(OVERFITTING_GAP, None, TASKS, higher_is_better=False),
    )
}
"""All metrics by their names; the order matters for `MAIN_METRICS`."""

MAIN_METRICS: Final = tuple(metric.name for metric in METRICS.values() if metric.main_for)
"""The first of these that a result has is its main metric: segment and pose have the mAP of boxes, too."""


def get_main_metric(task: Task) -> str:
    """Return the name of the metric that a task is judged by."""
    return next(metric.name for metric in METRICS.values() if task in metric.main_for)


def get_task_metric(name: str, task: Task) -> str:
    """Return the name of a metric as a task's own measure has it: mAP50 of segment is mask/mAP50."""
    return METRICS[TASK_PREFIXES.get(task, "") + name].name


def select_main_metric(val: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the name and value of the metric that ranks a training; None if it has none.

    Args:
        val: The metrics of its best epoch on val, as in reports/training.json.
    """
    return next(((name, val[name]) for name in MAIN_METRICS if name in val), None)
