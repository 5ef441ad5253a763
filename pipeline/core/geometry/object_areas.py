"""Areas of objects and detections in pixels, by which COCO calls them small, medium or large."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.tasks import Task

PERSON_AREA_SHARE: Final = 0.53
"""The share of its box that a person's outline fills on average: YOLO poses come without an outline."""
_DECIMALS: Final = 4
"""Areas of boxes are exact: coordinates are rounded to 0.01 pixels."""


def compute_object_areas(truth: GroundTruth, task: Task) -> FloatArray:
    """Compute the area (n,) of true objects: of the outline or rotated box; of a pose a share of its box."""
    if task in {"segment", "obb"}:
        return _compute_ring_areas(truth.outlines)
    return _compute_box_areas(truth.boxes, task)


def compute_detection_areas(found: Detections, task: Task) -> FloatArray:
    """Compute the area (n,) of detections: of the mask or rotated box; of a pose a share of its box."""
    if task == "segment":
        return _count_pixels(found) if found.areas is None else found.areas
    if task == "obb":
        return _compute_ring_areas(found.outlines)
    return _compute_box_areas(found.boxes, task)


def _count_pixels(found: Detections) -> FloatArray:
    return np.array([np.count_nonzero(mask.pixels) for mask in found.masks], np.float64)


def _compute_box_areas(boxes: FloatArray, task: Task) -> FloatArray:
    areas: FloatArray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return np.round(areas * PERSON_AREA_SHARE if task == "pose" else areas, _DECIMALS)


def _compute_ring_areas(rings: Iterable[FloatArray]) -> FloatArray:
    return np.array([round(_compute_ring_area(ring), _DECIMALS) for ring in rings], np.float64)


def _compute_ring_area(ring: FloatArray) -> float:
    x, y = (ring - ring.mean(axis=0)).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
