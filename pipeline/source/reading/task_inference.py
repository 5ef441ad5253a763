"""Infer the task from the shapes of all objects, and convert the objects of each image for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task
from pipeline.core.text import format_count
from pipeline.source.reading.shapes import AnnotatedObject, ShapeKind, remove_blanks

_NEARLY_ALL: Final = 0.95
"""Fraction of objects that must be outlines (or poses) for the task to be segment (or pose)."""
_NAME_BY_KIND: Final[dict[ShapeKind, str]] = {
    "box": "upright box",
    "rotated": "rotated box",
    "outline": "outline",
    "pose": "pose",
}


class TaskPlan(NamedTuple):
    """The task of a source and how its objects are converted for it.

    Attributes:
        task: The most detailed task that the objects support.
        names: Class names by index.
        points: Names of the keypoints of a pose, in order.
        remarks: What is ignored for this task, one sentence each.
    """

    task: Task
    names: tuple[str, ...]
    points: tuple[str, ...]
    remarks: tuple[str, ...]


def infer_task(objects: Sequence[AnnotatedObject], order: Sequence[str] = ()) -> TaskPlan:
    """Infer the task and the classes.

    Args:
        objects: The objects of all images.
        order: Class names in the order in which the source declares them; others follow, sorted.
    """
    kinds = Counter(item.shape.kind for item in objects)
    task, remarks = _choose_task(kinds)
    used = {item.label for item in objects if _is_used_for(item, task)}
    declared = dict.fromkeys(order)
    names = [name for name in declared if name in used] + sorted(used - set(declared))
    idle = [name for name in declared if name not in used]
    if idle:
        remarks.append(f"classes that are declared, but that no object has, are left out: {', '.join(idle)}")
    remarks += describe_class_spellings(item.spelling or item.label for item in objects)
    points = dict.fromkeys(name for item in objects for name in item.shape.points)
    return TaskPlan(task, tuple(names), tuple(points) if task == "pose" else (), tuple(remarks))


def describe_class_spellings(spellings: Iterable[str]) -> list[str]:
    """Return a remark about class names that differ in blanks alone, which are read as one class."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for spelling in dict.fromkeys(spellings):
        by_name[remove_blanks(spelling)].append(spelling)
    several = [sorted(spelled) for spelled in by_name.values() if len(spelled) > 1]
    if not several:
        return []
    listed = "; ".join(" and ".join(map(repr, spelled)) for spelled in sorted(several))
    return [f"names of {format_count(len(several), 'class')} differ in blanks alone, read as one: {listed}"]


def build_raw_objects(objects: Sequence[AnnotatedObject], plan: TaskPlan) -> RawObjects:
    """Convert the objects of one image; outlines are kept for every task, since data.task may need them."""
    used = [item for item in objects if _is_used_for(item, plan.task)]
    if plan.task == "classify":
        used = used[:1]
    parts = tuple(_get_outline(item, plan.task) for item in used)
    index = {name: number for number, name in enumerate(plan.names)}
    return RawObjects(
        np.array([index[item.label] for item in used], np.int64),
        np.array([item.shape.box for item in used], np.float64).reshape(-1, 4),
        tuple(item.mark for item in used),
        parts if any(parts) else (),
        tuple(_build_keypoints(item, plan.points) for item in used) if plan.task == "pose" else (),
    )


def _choose_task(kinds: Mapping[ShapeKind, int]) -> tuple[Task, list[str]]:
    tags = kinds.get("tag", 0)
    drawn = sum(kinds.values()) - tags
    if tags and not drawn:
        return "classify", []
    remarks = [f"{format_count(tags, 'tag')} of whole images left out: objects are drawn too"] if tags else []
    poses, rotated, outlines = (kinds.get(kind, 0) for kind in ("pose", "rotated", "outline"))
    if poses and poses >= _NEARLY_ALL * drawn:
        return "pose", remarks + _describe_mixed_kinds(kinds, "pose", "read for pose (data.task decides)")
    if rotated and not poses and not outlines:
        return "obb", remarks + _describe_mixed_kinds(kinds, "rotated", "read for obb (data.task decides)")
    if outlines and outlines + rotated >= _NEARLY_ALL * drawn:
        return "segment", remarks + _describe_mixed_kinds(
            kinds, "outline", "read for segment (data.task decides)"
        )
    return "detect", remarks + _describe_mixed_kinds(kinds, "box", "read for detect (data.task decides)")


def _describe_mixed_kinds(kinds: Mapping[ShapeKind, int], chosen: ShapeKind, how: str) -> list[str]:
    counted = {kind: format_count(kinds.get(kind, 0), one) for kind, one in _NAME_BY_KIND.items()}
    others = [counted[kind] for kind in _NAME_BY_KIND if kinds.get(kind) and kind != chosen]
    return [f"{counted[chosen]} and {', '.join(others)}: {how}"] if others else []


def _is_used_for(item: AnnotatedObject, task: Task) -> bool:
    return (item.shape.kind == "tag") == (task == "classify")


def _get_outline(item: AnnotatedObject, task: Task) -> tuple[FloatArray, ...]:
    """Return the outline of an object; for obb an upright box has one too: its corners."""
    outlined = item.shape.kind in {"outline", "rotated"} or (task == "obb" and item.shape.kind == "box")
    return item.shape.parts if outlined and task != "pose" else ()


def _build_keypoints(item: AnnotatedObject, names: Sequence[str]) -> FloatArray:
    missing = (0.0, 0.0, 0)
    return np.array([item.shape.points.get(name, missing) for name in names], np.float64).reshape(-1, 3)
