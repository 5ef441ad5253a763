"""How Ultralytics names its networks: family and size, then the task, as in yolo26n-seg.pt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # compose needs this module at every `dvc repro`, and dataclasses take time to load
    from pipeline.core.tasks import Task

SUFFIXES: Final[dict[Task, str]] = {
    "detect": "",
    "segment": "-seg",
    "classify": "-cls",
    "obb": "-obb",
    "pose": "-pose",
}
OFFICIAL: Final = re.compile(r"(yolov?\d+[a-z])(?:-(?:seg|cls|obb|pose))?(\.pt|\.yaml)")


def of_task(name: str, task: Task) -> str:
    """Name the sibling for a task: yolo26n.pt is yolo26n-seg.pt for segment.

    A path, and a name that is none of Ultralytics', stays: it says just which file is meant.
    """
    official = OFFICIAL.fullmatch(name)
    return official[1] + SUFFIXES[task] + official[2] if official else name
