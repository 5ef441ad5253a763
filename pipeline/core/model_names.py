"""Names of Ultralytics models: family and size, then the task, as in yolo26n-seg.pt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # dataclasses take time to import, and compose imports this module at every `dvc repro`
    from pipeline.core.tasks import Task

TASK_SUFFIXES: Final[dict[Task, str]] = {
    "detect": "",
    "segment": "-seg",
    "classify": "-cls",
    "obb": "-obb",
    "pose": "-pose",
}
OFFICIAL_MODEL_NAME: Final = re.compile(r"(yolov?\d+[a-z])(?:-(?:seg|cls|obb|pose))?(\.pt|\.yaml)")

DOWNLOADABLE_WEIGHTS: Final = re.compile(
    r"(yolov8[nsmlx](-(cls|seg|pose|obb|oiv7))?|yolov8[smlx]-world(v2)?|yolov8x-pose-p6"
    r"|yolo11[nsmlx](-(cls|seg|pose|obb))?|yolo11n-grayscale|yolo12[nsmlx]"
    r"|yolo26[nsmlx](-(cls|seg|sem|pose|obb|depth|distill|sem-ade20k|objv1-150|objv1-seg))?"
    r"|yolov3(-spp|-tiny)?u|yolov5[nsmlx]6?u|yolov9([tsmce]|[ce]-seg)|yolov10[nsmblx])\.pt"
)
"""Weights of YOLO models that Ultralytics offers for download; a test compares it with Ultralytics' list."""


def model_name_for_task(name: str, task: Task) -> str:
    """Return the name of the same model for another task: yolo26n-seg.pt for yolo26n.pt and segment.

    A path, or a name that is not one of Ultralytics', is returned unchanged: it means one particular file.
    """
    official = OFFICIAL_MODEL_NAME.fullmatch(name)
    return official[1] + TASK_SUFFIXES[task] + official[2] if official else name
