"""The objects of a whole source, as drawn: the task they serve, and what is handed on of each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task
from pipeline.core.text import format_count
from pipeline.source.reading.shapes import AnnotatedObject, ShapeKind

_NEARLY_ALL: Final = 0.95
"""Share of the objects that must be outlines (or poses) for the task to be segment (or pose)."""
_TOLD: Final[dict[ShapeKind, str]] = {
    "box": "upright box",
    "rotated": "rotated box",
    "outline": "outline",
    "pose": "pose",
}


class TaskPlan(NamedTuple):
    """How the objects of a source are handed on.

    Attributes:
        task: The richest that the objects serve.
        names: Class names by index.
        points: Names of a pose's points, in order.
        remarks: What that leaves aside, a sentence each.
    """

    task: Task
    names: tuple[str, ...]
    points: tuple[str, ...]
    remarks: tuple[str, ...]


def plan(objects: Sequence[AnnotatedObject], order: Sequence[str] = ()) -> TaskPlan:
    """Choose the task and the classes.

    Args:
        objects: Those of all images.
        order: Class names in the order in which the source declares them; others follow, sorted.
    """
    kinds = Counter(item.shape.kind for item in objects)
    task, remarks = _task(kinds)
    used = {item.label for item in objects if _serves(item, task)}
    declared = dict.fromkeys(order)
    names = [name for name in declared if name in used] + sorted(used - set(declared))
    idle = [name for name in declared if name not in used]
    if idle:
        remarks.append(f"classes that are declared, but that no object has, are left out: {', '.join(idle)}")
    points = dict.fromkeys(name for item in objects for name in item.shape.points)
    return TaskPlan(task, tuple(names), tuple(points) if task == "pose" else (), tuple(remarks))


def raw(objects: Sequence[AnnotatedObject], chosen: TaskPlan) -> RawObjects:
    """Hand on the objects of one image; outlines also where the task needs none, for data.task may."""
    used = [item for item in objects if _serves(item, chosen.task)]
    if chosen.task == "classify":
        used = used[:1]
    parts = tuple(_parts(item, chosen.task) for item in used)
    index = {name: number for number, name in enumerate(chosen.names)}
    return RawObjects(
        np.array([index[item.label] for item in used], np.int64),
        np.array([item.shape.box for item in used], np.float64).reshape(-1, 4),
        tuple(item.mark for item in used),
        parts if any(parts) else (),
        tuple(_points(item, chosen.points) for item in used) if chosen.task == "pose" else (),
    )


def _task(kinds: Mapping[ShapeKind, int]) -> tuple[Task, list[str]]:
    tags = kinds.get("tag", 0)
    drawn = sum(kinds.values()) - tags
    if tags and not drawn:
        return "classify", []
    remarks = [f"{format_count(tags, 'tag')} of whole images left out: objects are drawn too"] if tags else []
    poses, rotated, outlines = (kinds.get(kind, 0) for kind in ("pose", "rotated", "outline"))
    if poses and poses >= _NEARLY_ALL * drawn:
        return "pose", remarks + _mixed(kinds, "pose", "read for pose (data.task decides)")
    if rotated and not poses and not outlines:
        return "obb", remarks + _mixed(kinds, "rotated", "read for obb (data.task decides)")
    if outlines and outlines + rotated >= _NEARLY_ALL * drawn:
        return "segment", remarks + _mixed(kinds, "outline", "read for segment (data.task decides)")
    return "detect", remarks + _mixed(kinds, "box", "read for detect (data.task decides)")


def _mixed(kinds: Mapping[ShapeKind, int], chosen: ShapeKind, how: str) -> list[str]:
    told = {kind: format_count(kinds.get(kind, 0), one) for kind, one in _TOLD.items()}
    others = [told[kind] for kind in _TOLD if kinds.get(kind) and kind != chosen]
    return [f"{told[chosen]} and {', '.join(others)}: {how}"] if others else []


def _serves(item: AnnotatedObject, task: Task) -> bool:
    return (item.shape.kind == "tag") == (task == "classify")


def _parts(item: AnnotatedObject, task: Task) -> tuple[FloatArray, ...]:
    """Return the outline of an object; an upright box has one, its corners, among rotated ones alone."""
    outlined = item.shape.kind in {"outline", "rotated"} or (task == "obb" and item.shape.kind == "box")
    return item.shape.parts if outlined and task != "pose" else ()


def _points(item: AnnotatedObject, names: Sequence[str]) -> FloatArray:
    missing = (0.0, 0.0, 0)
    return np.array([item.shape.points.get(name, missing) for name in names], np.float64).reshape(-1, 3)
