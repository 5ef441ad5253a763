"""Convert detections to labels as they are written."""

from __future__ import annotations

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask
from pipeline.core.geometry.polygons import join_rings
from pipeline.core.tasks import Task
from pipeline.dataset.labels import WHOLE_IMAGE_BOX, ImageLabels, xyxy_to_xywhn
from pipeline.source.reading.trace_mask import trace_mask_outline

MIN_POINT_CONFIDENCE = 0.5
"""Points of a pose with a lower one are not labelled: the training does not learn their places."""


def convert_detections(found: Detections, task: Task, size: tuple[int, int]) -> ImageLabels | None:
    """Return the labels of the detections in an image.

    Args:
        found: The detections that become labels.
        task: Any but classify.
        size: Width and height of the image in pixels.

    Returns:
        None where one of them cannot be a label: a mask without pixels, a pose without a sure point.
    """
    boxes = xyxy_to_xywhn(found.boxes, *size)
    sides = np.array(size, np.float64)
    if task == "segment":
        if not all(mask.pixels.any() for mask in found.masks):
            return None
        rings = tuple(_trace_mask(mask) / sides for mask in found.masks)
        return ImageLabels(found.classes, boxes, rings)
    if task == "obb":
        return ImageLabels(found.classes, boxes, tuple(outline / sides for outline in found.outlines))
    if found.keypoints is None:
        return ImageLabels(found.classes, boxes)
    points = _convert_points(found.keypoints, sides)
    if not (points[:, :, 2] > 0).any(axis=1).all():
        return None
    return ImageLabels(found.classes, boxes, keypoints=points)


def convert_class(cls: int) -> ImageLabels:
    """Return the label of an image that is classified as a whole."""
    return ImageLabels(np.array([cls], np.int64), np.array([WHOLE_IMAGE_BOX]))


def _trace_mask(mask: ObjectMask) -> FloatArray:
    """Return one ring (k, 2) in pixels around all pieces of a mask."""
    shape = trace_mask_outline(mask.pixels.astype(np.uint8), left=mask.left, top=mask.top)
    return join_rings(shape.parts)


def _convert_points(points: FloatArray, sides: FloatArray) -> FloatArray:
    """Return points (n, points, 3) as shares, with visibility: 2 of sure points inside the image, else 0."""
    places = points[:, :, :2] / sides
    sure = (
        np.ones(points.shape[:2], bool) if points.shape[2] == 2 else points[:, :, 2] >= MIN_POINT_CONFIDENCE
    )
    sure &= ((places >= 0) & (places <= 1)).all(axis=2)
    return np.concatenate([np.where(sure[:, :, None], places, 0.0), 2.0 * sure[:, :, None]], axis=2)
