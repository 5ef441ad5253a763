"""Check the objects of one image for a task: use, repair or drop each one, and report every finding."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Task
from pipeline.prepare.annotations.boxes import CheckedObjects, ObjectRepair, UnusableObjectError, repair_box
from pipeline.prepare.annotations.fast_check import (
    FULL_IMAGE_SHARE,
    fast_check_boxes,
    fast_check_outlines,
    fast_check_poses,
    fast_check_rectangles,
)
from pipeline.prepare.annotations.repair import (
    compute_ring_area,
    repair_keypoints,
    repair_outline,
    repair_rectangle,
)

_NO_POINTS: Final = np.zeros((0, 3))


class TaskRequirements(NamedTuple):
    """What the task requires of objects.

    Attributes:
        task: The task.
        classes: Number of classes.
        keypoints: Number of key points of a pose.
    """

    task: Task
    classes: int
    keypoints: int = 0


class _UsableObject(NamedTuple):
    """One usable object; its shape is a box (4,), an outline or four corners (k, 2)."""

    cls: int
    shape: FloatArray
    keypoints: FloatArray
    repairs: list[ObjectRepair]

    @property
    def key(self) -> tuple[int, bytes, bytes]:
        """Equal for two objects that are duplicates."""
        shape, keypoints = self.shape.round(3) + 0.0, self.keypoints.round(3) + 0.0  # + 0.0: no -0.0
        if shape.ndim == 2:
            shape = _normalize_ring(shape)
        return self.cls, shape.tobytes(), keypoints.tobytes()


def _normalize_ring(corners: FloatArray) -> FloatArray:
    """Write corners (k, 2) in one way, whatever corner they start at and in either direction."""
    ring = np.roll(corners, -np.lexsort(corners.T)[0], axis=0)
    return ring if ring[1].tolist() < ring[-1].tolist() else np.roll(ring[::-1], 1, axis=0)


def check_objects(raw: RawObjects, required: TaskRequirements, *, size: tuple[int, int]) -> CheckedObjects:
    """Return the usable objects of an image, with a note for each repaired or dropped object.

    Repaired, because there is one clear answer: corners in the wrong order, objects partly outside the
    image, an outline that crosses itself, a rotated box that is no rectangle, key points outside the image.
    Dropped: objects of an unknown class, with coordinates that are not numbers, without area, outside the
    image, and duplicates.

    Args:
        raw: The objects in pixels, converted to the task.
        required: The task, and the number of classes and key points.
        size: Width and height of the image in pixels.
    """
    return _check_fast(raw, required, size) or _check_one_by_one(raw, required, size)


def _check_fast(raw: RawObjects, required: TaskRequirements, size: tuple[int, int]) -> CheckedObjects | None:
    """Return the objects if all of them are valid, as in nearly every image; else None."""
    if not all(0 <= cls < required.classes for cls in raw.classes.tolist()):
        return None
    if required.task == "detect" or not raw.marks:
        return fast_check_boxes(raw, size)
    if required.task == "segment":
        return fast_check_outlines(raw, size)
    if required.task == "obb":
        return fast_check_rectangles(raw, size)
    return fast_check_poses(raw, size, count=required.keypoints) if required.task == "pose" else None


def _check_one_by_one(raw: RawObjects, required: TaskRequirements, size: tuple[int, int]) -> CheckedObjects:
    notes: list[AnnotationNote] = []
    usable: list[_UsableObject] = []
    first_marks: dict[tuple[int, bytes, bytes], str] = {}
    for index, mark in enumerate(raw.marks):
        try:
            checked = _check_object(raw, index, required, size)
            first = first_marks.setdefault(checked.key, mark)
            if first is not mark:
                raise UnusableObjectError("duplicate", f"the same as {first}")
        except UnusableObjectError as error:
            notes.append(AnnotationNote(True, f"{mark}: {error}", error.kind))
            continue
        usable.append(checked)
        notes += [AnnotationNote(False, f"{mark}: {reason}", kind) for kind, reason in checked.repairs]
    return _collect(usable, required.task, notes, size)


def _check_object(
    raw: RawObjects, index: int, required: TaskRequirements, size: tuple[int, int]
) -> _UsableObject:
    """Check one object.

    Raises:
        UnusableObjectError: It cannot be used.
    """
    cls, task = int(raw.classes[index]), required.task
    if not 0 <= cls < required.classes:
        raise UnusableObjectError(
            "class-out-of-range", f"class {cls}, but the classes are 0 to {required.classes - 1}"
        )
    if task == "classify":
        return _UsableObject(cls, np.array([0.0, 0.0, *size]), _NO_POINTS, [])
    if task in {"segment", "obb"}:
        parts = raw.outlines[index] if raw.outlines else ()
        shape, repairs = (repair_outline if task == "segment" else repair_rectangle)(parts, size)
        repairs = [*repairs, *_note_full_cover(compute_ring_area(shape), size)]
        return _UsableObject(cls, shape, _NO_POINTS, repairs)
    shape, repairs = repair_box(raw.boxes[index], size)
    left, top, right, bottom = shape.tolist()
    repairs = [*repairs, *_note_full_cover((right - left) * (bottom - top), size)]
    if task == "detect":
        return _UsableObject(cls, shape, _NO_POINTS, repairs)
    keypoints, more = repair_keypoints(
        raw.keypoints[index] if raw.keypoints else _NO_POINTS, size, count=required.keypoints
    )
    return _UsableObject(cls, shape, keypoints, [*repairs, *more])


def _note_full_cover(area: float, size: tuple[int, int]) -> list[ObjectRepair]:
    share = area / (size[0] * size[1])
    return [("covers-everything", f"covers {share:.0%} of the image")] if share >= FULL_IMAGE_SHARE else []


def _collect(
    usable: list[_UsableObject], task: Task, notes: list[AnnotationNote], size: tuple[int, int]
) -> CheckedObjects:
    classes = np.array([each.cls for each in usable], np.int64)
    shapes = tuple(each.shape for each in usable)
    has_corners = task in {"segment", "obb"}
    boxes = (
        [np.concatenate([shape.min(axis=0), shape.max(axis=0)]) for shape in shapes]
        if has_corners
        else shapes
    )
    clipped = np.clip(np.array(boxes, np.float64).reshape(-1, 4), 0, [*size, *size])
    keypoints = tuple(each.keypoints for each in usable) if task == "pose" else ()
    return CheckedObjects(classes, clipped, tuple(notes), shapes if has_corners else (), keypoints)
