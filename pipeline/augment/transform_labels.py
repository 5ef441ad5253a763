"""Labels follow the pixels of their image: where each task's objects go, and how much of each is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.augment import affine
from pipeline.augment.affine import Matrix
from pipeline.core.arrays import FloatArray
from pipeline.core.geometry import polygons
from pipeline.core.geometry.rotated_boxes import shrink
from pipeline.core.tasks import Task
from pipeline.dataset.labels import ImageLabels, around, from_xyxy, to_xyxy

ROUNDING: Final = 1e-9

SIDE: Final = 0.49
"""Pixels: a thinner object is none; half a pixel as in core.boxes, less what six decimals round."""

UNLABELLED: Final = (0.0, 0.0, 0.0)
"""A point that cannot be seen."""


class TransformedObjects(NamedTuple):
    """The objects of a transformed image, also those that are no longer in it.

    Attributes:
        labels: Cut at the image's edges.
        left: (n,) the share of each object's area that lies within the image.
        sides: (n, 2) the lengths in pixels of what is left.
        seen: (n,) whether any part of the object may still be seen.
    """

    labels: ImageLabels
    left: FloatArray
    sides: FloatArray
    seen: NDArray[np.bool_]


def follow(
    labels: ImageLabels, extent: tuple[int, int], moved: Matrix, *, task: Task, flip: Sequence[int] = ()
) -> TransformedObjects:
    """Move labels as a matrix moves the pixels.

    Args:
        labels: Of an image.
        extent: Width and height of the image, before and after, in pixels.
        moved: 3 x 3, on pixel edges; turns, mirrors, scales alike in both directions, shifts.
        task: What the labels are for.
        flip: What each point of a pose becomes in a mirrored image.
    """
    followed = _TASKS[task](labels, extent, moved)
    if len(labels) and flip and affine.mirrors(moved):
        mirrored = followed.labels.keypoints[:, list(flip)]
        return followed._replace(
            labels=ImageLabels(labels.classes, followed.labels.boxes, keypoints=mirrored)
        )
    return followed


def keep(followed: TransformedObjects, visible: float) -> tuple[ImageLabels, bool]:
    """Return the labels of what stays visible, and whether an object without label may still be seen.

    Args:
        followed: The objects of a transformed image.
        visible: The share (0..1) of an object's area that must be left.
    """
    stay = (followed.left >= visible - ROUNDING) & (followed.sides > SIDE).all(axis=1)
    return _taken(followed.labels, stay), bool(followed.seen[~stay].any())


def _boxes(labels: ImageLabels, extent: tuple[int, int], moved: Matrix) -> TransformedObjects:
    """Move upright boxes as the ellipses in them move."""
    boxes = affine.clip(to_xyxy(labels.boxes, *extent), *extent)  # six decimals may stick out
    return _cut(labels.classes, affine.move(boxes, moved), affine.hull(boxes, moved), extent)


def _cut(
    classes: NDArray[np.int64], whole: FloatArray, hull: FloatArray, extent: tuple[int, int]
) -> TransformedObjects:
    clipped, rest = affine.clip(whole, *extent), affine.clip(hull, *extent)
    labels, left = ImageLabels(classes, from_xyxy(clipped, *extent)), affine.shares(whole, clipped)
    return TransformedObjects(labels, left, clipped[:, 2:] - clipped[:, :2], _wide(rest[:, 2:] - rest[:, :2]))


def _poses(labels: ImageLabels, extent: tuple[int, int], moved: Matrix) -> TransformedObjects:
    """Move boxes and points. A box stays around the points that were in it; a point outside has no label."""
    boxes = affine.clip(to_xyxy(labels.boxes, *extent), *extent)
    points, labelled = labels.keypoints[..., :2] * extent, labels.keypoints[..., 2] > 0
    inside = np.clip(points, boxes[:, None, :2], boxes[:, None, 2:])
    reach = affine.points(inside, moved)
    whole = affine.move(boxes, moved)
    low = np.where(labelled[..., None], reach, np.inf).min(axis=1, initial=np.inf)
    high = np.where(labelled[..., None], reach, -np.inf).max(axis=1, initial=-np.inf)
    whole = np.concatenate([np.minimum(whole[:, :2], low), np.maximum(whole[:, 2:], high)], axis=1)
    found = _cut(labels.classes, whole, affine.hull(boxes, moved), extent)
    there = affine.points(points, moved)
    within = labelled & ((there >= 0) & (there <= extent)).all(axis=2)
    shown = np.concatenate([there / extent, labels.keypoints[..., 2:]], axis=2)
    shown = np.where(within[..., None], shown, UNLABELLED)
    return found._replace(labels=ImageLabels(labels.classes, found.labels.boxes, keypoints=shown))


def _outlined(labels: ImageLabels, extent: tuple[int, int], moved: Matrix) -> TransformedObjects:
    """Move outlines, and cut them at the image's edges exactly."""
    there = [affine.points(outline * extent, moved) for outline in labels.outlines]
    cut = [polygons.clip(outline, *extent) for outline in there]
    return _rings(labels.classes, [ring for ring, _ in cut], [share for _, share in cut], extent)


def _rings(
    classes: NDArray[np.int64], rings: Sequence[FloatArray], left: Sequence[float], extent: tuple[int, int]
) -> TransformedObjects:
    shares = tuple(ring / extent for ring in rings)
    boxes = around(shares)
    sides = boxes[:, 2:] * extent
    return TransformedObjects(
        ImageLabels(classes, boxes, shares), np.array(left, np.float64), sides, _wide(sides)
    )


def _rotated(labels: ImageLabels, extent: tuple[int, int], moved: Matrix) -> TransformedObjects:
    """Move rotated boxes. One that an edge cuts keeps its direction and shrinks to what is left of it.

    As Ultralytics has it (Instances.clip with preserve_obb). A corner may then lie outside the image; what
    lay outside already is not seen when the image is turned or made smaller.
    """
    found = [_turned(outline * extent, extent, moved) for outline in labels.outlines]
    rings = [ring for ring, _ in found]
    followed = _rings(labels.classes, rings, [share for _, share in found], extent)
    ways = np.array([np.diff(ring[:3], axis=0) for ring in rings]).reshape(-1, 2, 2)
    sides = np.linalg.norm(ways, axis=2)
    return followed._replace(sides=sides, seen=_wide(sides))


def _turned(corners: FloatArray, extent: tuple[int, int], moved: Matrix) -> tuple[FloatArray, float]:
    """Return the corners of a box after the transform, and the share that is left of what was visible."""
    before, _ = polygons.clip(corners, *extent)
    there = affine.points(before, moved)
    visible, share = polygons.clip(there, *extent)
    if before is corners and visible is there:
        return there, 1.0
    return shrink(affine.points(corners, moved), visible, extent), share


def _whole(labels: ImageLabels, _extent: tuple[int, int], _moved: Matrix) -> TransformedObjects:
    """Leave the class of an image with every part of it."""
    count = len(labels)
    return TransformedObjects(labels, np.ones(count), np.full((count, 2), np.inf), np.ones(count, np.bool_))


def _taken(labels: ImageLabels, chosen: NDArray[np.bool_]) -> ImageLabels:
    """Return the labels of some objects."""
    points = labels.keypoints[chosen] if len(labels.keypoints) else labels.keypoints
    kept = tuple(compress(labels.outlines, chosen))
    return ImageLabels(labels.classes[chosen], labels.boxes[chosen], kept, points)


def _wide(sides: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((sides > ROUNDING).all(axis=1), np.bool_)


_TASKS: Final[dict[Task, Callable[[ImageLabels, tuple[int, int], Matrix], TransformedObjects]]] = {
    "detect": _boxes,
    "segment": _outlined,
    "classify": _whole,
    "obb": _rotated,
    "pose": _poses,
}
