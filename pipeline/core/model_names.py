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


def model_name_for_task(name: str, task: Task) -> str:
    """Return the name of the same model for another task: yolo26n-seg.pt for yolo26n.pt and segment.

    A path, or a name that is not one of Ultralytics', is returned unchanged: it means one particular file.
    """
    official = OFFICIAL_MODEL_NAME.fullmatch(name)
    return official[1] + TASK_SUFFIXES[task] + official[2] if official else name
