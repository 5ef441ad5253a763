"""Names of metrics that `evaluate` alone computes: by size of the objects, recall, calibration, latency.

They are apart from `core.metric_names`, which trainings use: a further name here retrains no model.
"""

from __future__ import annotations

from typing import Final

from pipeline.core.metric_names import MAP50_95, TASK_PREFIXES
from pipeline.core.tasks import Task

ECE: Final = "ECE"
"""Expected calibration error, 0 to 1; lower is better."""
AT_IMGSZ: Final = "_at_imgsz"
"""Behind the name of a size: in pixels of the network's input, not of the image."""
WORST_SLICE: Final = "worst_slice"
LATENCY: Final = "latency"
"""The group of the times per image in MLflow, in milliseconds; lower is better."""
LATENCY_PARTS: Final = ("total", "preprocess", "inference", "postprocess")
LOWER_IS_BETTER: Final = (ECE, LATENCY)


def name_size_metric(size: str, task: Task, *, at_imgsz: bool = False) -> str:
    """Return the name of the mAP50-95 of small, medium or large objects, such as mAP50-95_small."""
    return f"{TASK_PREFIXES.get(task, '')}{MAP50_95}_{size}{AT_IMGSZ if at_imgsz else ''}"


def name_average_recall(limit: int, task: Task) -> str:
    """Return the name of the average recall with at most so many detections of a class: AR100."""
    return f"{TASK_PREFIXES.get(task, '')}AR{limit}"
