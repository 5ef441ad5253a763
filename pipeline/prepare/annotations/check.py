"""Check one image's objects for a task: what is used, what is mended, what is left out, each with a word."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Task
from pipeline.prepare.annotations import boxes, fast_check, repair
from pipeline.prepare.annotations.boxes import CheckedObjects, ObjectRepair, UnusableObjectError
from pipeline.prepare.annotations.fast_check import EVERYTHING
from pipeline.prepare.annotations.repair import repair_keypoints, repair_rectangle

_NO_POINTS: Final = np.zeros((0, 3))


class TaskRequirements(NamedTuple):
    """What the objects are checked for.

    Attributes:
        task: Their task.
        known: Number of classes.
        points: Key points of a pose.
    """

    task: Task
    known: int
    points: int = 0


class _Object(NamedTuple):
    """One object that can be used: its shape is a box (4,), an outline or four corners (k, 2)."""

    cls: int
    shape: FloatArray
    points: FloatArray
    found: list[ObjectRepair]

    @property
    def key(self) -> tuple[int, bytes, bytes]:
        """The same for an object that is given twice."""
        shape, points = self.shape.round(3) + 0.0, self.points.round(3) + 0.0  # -0.0 is 0.0
        if shape.ndim == 2:
            shape = _ring(shape)
        return self.cls, shape.tobytes(), points.tobytes()


def _ring(corners: FloatArray) -> FloatArray:
    """Write corners (k, 2), which may begin with any of them and go either way round, in one way."""
    ring = np.roll(corners, -np.lexsort(corners.T)[0], axis=0)
    return ring if ring[1].tolist() < ring[-1].tolist() else np.roll(ring[::-1], 1, axis=0)


def check(raw: RawObjects, wanted: TaskRequirements, *, size: tuple[int, int]) -> CheckedObjects:
    """Keep the objects that an image of this size, this task and a list of this many classes can have.

    What has one clear answer is mended, and named: corners in the wrong order, what lies partly outside, an
    outline that crosses itself, a rotated box that is no rectangle, key points outside. Left out are objects
    of an unknown class, with coordinates that are no numbers, of no area, outside, or given twice.

    Args:
        raw: The objects in pixels, converted to the task.
        wanted: What they are checked for.
        size: Width and height of the image in pixels.
    """
    return _at_a_glance(raw, wanted, size) or _one_by_one(raw, wanted, size)


def _at_a_glance(raw: RawObjects, wanted: TaskRequirements, size: tuple[int, int]) -> CheckedObjects | None:
    """Return the objects where nothing is amiss with any of them, as nearly always."""
    if not all(0 <= cls < wanted.known for cls in raw.classes.tolist()):
        return None
    if wanted.task == "detect" or not raw.marks:
        return fast_check.boxes(raw, size)
    if wanted.task == "segment":
        return fast_check.outlines(raw, size)
    if wanted.task == "obb":
        return fast_check.rectangles(raw, size)
    return fast_check.poses(raw, size, count=wanted.points) if wanted.task == "pose" else None


def _one_by_one(raw: RawObjects, wanted: TaskRequirements, size: tuple[int, int]) -> CheckedObjects:
    notes: list[AnnotationNote] = []
    kept: list[_Object] = []
    seen: dict[tuple[int, bytes, bytes], str] = {}
    for number, mark in enumerate(raw.marks):
        try:
            item = _item(raw, number, wanted, size)
            first = seen.setdefault(item.key, mark)
            if first is not mark:
                raise UnusableObjectError("duplicate", f"the same as {first}")
        except UnusableObjectError as error:
            notes.append(AnnotationNote(True, f"{mark}: {error}", error.kind))
            continue
        kept.append(item)
        notes += [AnnotationNote(False, f"{mark}: {reason}", kind) for kind, reason in item.found]
    return _checked(kept, wanted.task, notes, size)


def _item(raw: RawObjects, number: int, wanted: TaskRequirements, size: tuple[int, int]) -> _Object:
    """Check one object.

    Raises:
        Unfit: It cannot be used.
    """
    cls, none = int(raw.classes[number]), _NO_POINTS
    if not 0 <= cls < wanted.known:
        raise UnusableObjectError(
            "class-out-of-range", f"class {cls}, but the classes are 0 to {wanted.known - 1}"
        )
    if wanted.task == "classify":
        return _Object(cls, np.array([0.0, 0.0, *size]), none, [])
    if wanted.task in {"segment", "obb"}:
        parts = raw.outlines[number] if raw.outlines else ()
        mend = repair.mend if wanted.task == "segment" else repair_rectangle
        shape, found = mend(parts, size)
        return _Object(cls, shape, none, [*found, *_everything(repair.area(shape), size)])
    shape, found = boxes.mend(raw.boxes[number], size)
    left, top, right, bottom = shape.tolist()
    found = [*found, *_everything((right - left) * (bottom - top), size)]
    if wanted.task == "detect":
        return _Object(cls, shape, none, found)
    mended, more = repair_keypoints(
        raw.keypoints[number] if raw.keypoints else none, size, count=wanted.points
    )
    return _Object(cls, shape, mended, [*found, *more])


def _everything(area: float, size: tuple[int, int]) -> list[ObjectRepair]:
    share = area / (size[0] * size[1])
    return [("covers-everything", f"covers {share:.0%} of the image")] if share >= EVERYTHING else []


def _checked(
    kept: list[_Object], task: Task, notes: list[AnnotationNote], size: tuple[int, int]
) -> CheckedObjects:
    classes = np.array([item.cls for item in kept], np.int64)
    shapes = tuple(item.shape for item in kept)
    drawn = task in {"segment", "obb"}
    extents = (
        [np.concatenate([shape.min(axis=0), shape.max(axis=0)]) for shape in shapes] if drawn else shapes
    )
    upright = np.clip(np.array(extents, np.float64).reshape(-1, 4), 0, [*size, *size])
    keypoints = tuple(item.points for item in kept) if task == "pose" else ()
    return CheckedObjects(classes, upright, tuple(notes), shapes if drawn else (), keypoints)
