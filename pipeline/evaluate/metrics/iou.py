"""IoU of upright and of rotated boxes."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.core.arrays import FloatArray


def rotated_box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Compute the IoU (n, m) of rotated boxes, given by corners (n, 4, 2) and (m, 4, 2) in pixels.

    The area of each intersection is exact. Only pairs whose upright extents overlap are intersected.
    Ultralytics computes the overlap of two Gaussians instead (probiou, Llerena et al. 2021), which is much
    higher for long thin boxes.
    """
    low = np.maximum(first.min(axis=1)[:, None], second.min(axis=1)[None])
    high = np.minimum(first.max(axis=1)[:, None], second.max(axis=1)[None])
    rows, columns = np.nonzero((high > low).all(axis=2))
    here, there = shapely.polygons(first), shapely.polygons(second)
    shared = np.zeros((len(first), len(second)))
    shared[rows, columns] = shapely.area(shapely.intersection(here[rows], there[columns]))
    union = shapely.area(here)[:, None] + shapely.area(there)[None, :] - shared
    ious: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Compute the IoU (n, m) of boxes (n, 4) and (m, 4), all as x1, y1, x2, y2."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _box_areas(first)[:, None] + _box_areas(second)[None, :] - shared
    ious: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def _box_areas(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas
