"""Transform the labels of every task as the pixels of their image, and measure what stays visible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.augment.affine import (
    Matrix,
    clip_boxes,
    compute_visible_shares,
    is_mirrored,
    transform_box_hulls,
    transform_boxes,
    transform_points,
)
from pipeline.core.arrays import FloatArray
from pipeline.core.geometry.polygons import clip_outline
from pipeline.core.geometry.rotated_boxes import shrink_rotated_box
from pipeline.core.tasks import Task
from pipeline.dataset.labels import ImageLabels, outlines_to_boxes, xywhn_to_xyxy, xyxy_to_xywhn

ROUNDING_TOLERANCE: Final = 1e-9

MIN_SIDE: Final = 0.49
"""Pixels: a thinner object loses its label. Half a pixel as in prepare, less the rounding to six decimals."""

UNLABELED_POINT: Final = (0.0, 0.0, 0.0)
"""A key point that is not visible."""


class TransformedObjects(NamedTuple):
    """The objects of a transformed image, including those that are outside of it.

    Attributes:
        labels: Labels, clipped at the image's edges.
        visible_shares: (n,) the share of each object's area that is inside the image, 0..1.
        sides: (n, 2) the side lengths of the visible part in pixels.
        may_be_visible: (n,) whether any part of the object may be visible.
    """

    labels: ImageLabels
    visible_shares: FloatArray
    sides: FloatArray
    may_be_visible: NDArray[np.bool_]


def transform_labels(
    labels: ImageLabels, extent: tuple[int, int], matrix: Matrix, *, task: Task, flip: Sequence[int] = ()
) -> TransformedObjects:
    """Transform labels as a matrix transforms the pixels.

    Args:
        labels: Labels of an image.
        extent: Width and height of the image, before and after, in pixels.
        matrix: 3 x 3, on pixel edges: rotation, flips, shifts, and the same scale in both directions.
        task: The task of the labels.
        flip: The index of each key point's counterpart in a mirrored image. Where it is not known, the
            matrix must not mirror.
    """
    transformed = _TASKS[task](labels, extent, matrix)
    if len(labels) and flip and is_mirrored(matrix):
        swapped = transformed.labels.keypoints[:, list(flip)]
        return transformed._replace(
            labels=ImageLabels(labels.classes, transformed.labels.boxes, keypoints=swapped)
        )
    return transformed


def select_visible_labels(transformed: TransformedObjects, visible: float) -> tuple[ImageLabels, bool]:
    """Return the labels that stay, and whether an object that loses its label may still be visible.

    Args:
        transformed: The objects of a transformed image.
        visible: The share (0..1) of an object's area that must be inside the image.
    """
    is_large = (transformed.sides > MIN_SIDE).all(axis=1)
    stays = (transformed.visible_shares >= visible - ROUNDING_TOLERANCE) & is_large
    return _select(transformed.labels, stays), bool(transformed.may_be_visible[~stays].any())


def _transform_detect(labels: ImageLabels, extent: tuple[int, int], matrix: Matrix) -> TransformedObjects:
    """Transform upright boxes as their inscribed ellipses."""
    boxes = clip_boxes(xywhn_to_xyxy(labels.boxes, *extent), *extent)  # rounding may put a side outside
    whole, hulls = transform_boxes(boxes, matrix), transform_box_hulls(boxes, matrix)
    return _clip_boxes(labels.classes, whole, hulls, extent)


def _clip_boxes(
    classes: NDArray[np.int64], whole: FloatArray, hulls: FloatArray, extent: tuple[int, int]
) -> TransformedObjects:
    """Clip boxes at the image's edges. An object may be visible if the hull of its box is inside.

    The visible part of an object may be smaller than its clipped box: the object's shape is not known.
    """
    clipped, clipped_hulls = clip_boxes(whole, *extent), clip_boxes(hulls, *extent)
    return TransformedObjects(
        ImageLabels(classes, xyxy_to_xywhn(clipped, *extent)),
        compute_visible_shares(whole, clipped),
        clipped[:, 2:] - clipped[:, :2],
        _have_area(clipped_hulls[:, 2:] - clipped_hulls[:, :2]),
    )


def _transform_pose(labels: ImageLabels, extent: tuple[int, int], matrix: Matrix) -> TransformedObjects:
    """Transform boxes and key points. A box keeps its points; a point outside the image loses its label."""
    boxes = clip_boxes(xywhn_to_xyxy(labels.boxes, *extent), *extent)
    points, is_labeled = labels.keypoints[..., :2] * extent, labels.keypoints[..., 2] > 0
    whole = _include_points(transform_boxes(boxes, matrix), boxes, (points, is_labeled), matrix)
    clipped = _clip_boxes(labels.classes, whole, transform_box_hulls(boxes, matrix), extent)
    transformed = transform_points(points, matrix)
    is_inside = is_labeled & ((transformed >= 0) & (transformed <= extent)).all(axis=2)
    keypoints = np.concatenate([transformed / extent, labels.keypoints[..., 2:]], axis=2)
    keypoints = np.where(is_inside[..., None], keypoints, UNLABELED_POINT)
    return clipped._replace(labels=ImageLabels(labels.classes, clipped.labels.boxes, keypoints=keypoints))


def _include_points(
    whole: FloatArray, boxes: FloatArray, keypoints: tuple[FloatArray, NDArray[np.bool_]], matrix: Matrix
) -> FloatArray:
    """Enlarge transformed boxes to hold their key points, each moved to its box's edge if it is outside."""
    points, is_labeled = keypoints
    inside = np.clip(points, boxes[:, None, :2], boxes[:, None, 2:])
    transformed = transform_points(inside, matrix)
    low = np.where(is_labeled[..., None], transformed, np.inf).min(axis=1, initial=np.inf)
    high = np.where(is_labeled[..., None], transformed, -np.inf).max(axis=1, initial=-np.inf)
    return np.concatenate([np.minimum(whole[:, :2], low), np.maximum(whole[:, 2:], high)], axis=1)


def _transform_segment(labels: ImageLabels, extent: tuple[int, int], matrix: Matrix) -> TransformedObjects:
    """Transform outlines, and clip them at the image's edges exactly."""
    transformed = [transform_points(outline * extent, matrix) for outline in labels.outlines]
    clipped = [clip_outline(outline, *extent) for outline in transformed]
    return _build_outlined(labels.classes, clipped, extent)


def _build_outlined(
    classes: NDArray[np.int64], outlines: Sequence[tuple[FloatArray, float]], extent: tuple[int, int]
) -> TransformedObjects:
    """Build objects from outlines in pixels and their visible shares."""
    normalized = tuple(outline / extent for outline, _ in outlines)
    boxes = outlines_to_boxes(normalized)
    sides = boxes[:, 2:] * extent
    shares = np.array([share for _, share in outlines], np.float64)
    return TransformedObjects(ImageLabels(classes, boxes, normalized), shares, sides, _have_area(sides))


def _transform_obb(labels: ImageLabels, extent: tuple[int, int], matrix: Matrix) -> TransformedObjects:
    """Transform rotated boxes. A box at an edge keeps its direction and shrinks to its visible part.

    Ultralytics does the same (Instances.clip with preserve_obb). A corner may then be outside the image. What
    was outside the source image is not visible in a rotated or smaller copy.
    """
    clipped = [_transform_rotated_box(outline * extent, extent, matrix) for outline in labels.outlines]
    transformed = _build_outlined(labels.classes, clipped, extent)
    edges = np.array([np.diff(corners[:3], axis=0) for corners, _ in clipped]).reshape(-1, 2, 2)
    sides = np.linalg.norm(edges, axis=2)
    return transformed._replace(sides=sides, may_be_visible=_have_area(sides))


def _transform_rotated_box(
    corners: FloatArray, extent: tuple[int, int], matrix: Matrix
) -> tuple[FloatArray, float]:
    """Return the corners of a box after the transform, and the share of its visible part that is left."""
    visible_before, _ = clip_outline(corners, *extent)
    transformed = transform_points(visible_before, matrix)
    visible, share = clip_outline(transformed, *extent)
    if visible_before is corners and visible is transformed:
        return transformed, 1.0
    return shrink_rotated_box(transform_points(corners, matrix), visible, extent), share


def _keep_classes(labels: ImageLabels, _extent: tuple[int, int], _matrix: Matrix) -> TransformedObjects:
    """Keep the class of an image as a whole: every part of the image has it."""
    count = len(labels)
    return TransformedObjects(labels, np.ones(count), np.full((count, 2), np.inf), np.ones(count, np.bool_))


def _select(labels: ImageLabels, chosen: NDArray[np.bool_]) -> ImageLabels:
    """Return the labels of some objects."""
    keypoints = labels.keypoints[chosen] if len(labels.keypoints) else labels.keypoints
    outlines = tuple(compress(labels.outlines, chosen))
    return ImageLabels(labels.classes[chosen], labels.boxes[chosen], outlines, keypoints)


def _have_area(sides: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((sides > ROUNDING_TOLERANCE).all(axis=1), np.bool_)


_TASKS: Final[dict[Task, Callable[[ImageLabels, tuple[int, int], Matrix], TransformedObjects]]] = {
    "detect": _transform_detect,
    "segment": _transform_segment,
    "classify": _keep_classes,
    "obb": _transform_obb,
    "pose": _transform_pose,
}
