"""The columns of a training's epochs for each task: their names, and which one is watched.

Boxes go by the names that detection has, whatever else the task measures: segment adds
`metrics/mask/mAP50-95`, pose `metrics/pose/mAP50-95`; classify has `metrics/top1` and `metrics/top5`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

from pipeline.core.tasks import Task

FITNESS: Final = "metrics/fitness"
WATCHED: Final[dict[Task, str]] = {
    "detect": "metrics/mAP50-95",
    "obb": "metrics/mAP50-95",
    "segment": FITNESS,
    "pose": FITNESS,
    "classify": "metrics/top1",
}
"""What the best epoch has most of, and what early stopping and gradual unfreezing wait for.

Ultralytics' fitness of segment and pose is the sum of the mAP50-95 of boxes and of masks or points. It is
kept: from detection weights boxes are found epochs before the first mask counts, and that is progress too.
For classify Ultralytics takes the mean of top-1 and top-5; here it is top-1, which is what people read.
"""


def column(name: str) -> str:
    """Turn Ultralytics' name into ours: `metrics/mAP50(M)` is `metrics/mask/mAP50`."""
    for ending, place in (("(B)", ""), ("(M)", "mask/"), ("(P)", "pose/")):
        if name.endswith(ending):
            group, _, figure = name.removesuffix(ending).partition("/")
            return f"{group}/{place}{figure}"
    return name.replace("accuracy_top", "top")


def figures(row: Mapping[str, float]) -> dict[str, float]:
    """Return what an epoch measured on val, under short names."""
    return {
        name.removeprefix("metrics/"): value for name, value in row.items() if name.startswith("metrics/")
    }


def points(rows: Sequence[Mapping[str, float]]) -> list[tuple[int, str, str, float]]:
    """Return (epoch, curve, split, value) of all that was measured: one table that fits every task."""
    found = []
    for row in rows:
        for name, value in row.items():
            group, _, curve = name.partition("/")
            split = {"metrics": "val", "val": "val", "train": "train"}.get(group)
            found += [(int(row["epoch"]), curve, split, value)] if split else []
    return found


def losses(rows: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """Sum the losses of each epoch that was validated, on train and on val: those computed on both.

    Those of a teacher, of a segmentation's classes (YOLO26) and of a pose's flow are 0 on val.
    """
    rows = [row for row in rows if any(name.startswith("val/") for name in row)]
    names = [name.removeprefix("val/") for name in dict.fromkeys(chain(*rows)) if name.startswith("val/")]
    both = [name for name in names if any(row[f"val/{name}"] for row in rows)]
    train, val = ([sum(row[f"{part}/{name}"] for name in both) for row in rows] for part in ("train", "val"))
    return train, val
