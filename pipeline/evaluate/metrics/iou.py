"""How much rotated boxes share: the exact area of the polygon that they have in common."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray


def rotated_box_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (n, m) of rotated boxes given by their corners (n, 4, 2) and (m, 4, 2) in pixels.

    Only pairs whose upright extents meet are intersected. Ultralytics measures the overlap of two Gaussians
    instead (probiou, Llerena et al. 2021), which for long thin boxes is a good deal kinder.
    """
    low = np.maximum(first.min(axis=1)[:, None], second.min(axis=1)[None])
    high = np.minimum(first.max(axis=1)[:, None], second.max(axis=1)[None])
    rows, columns = np.nonzero((high > low).all(axis=2))
    here, there = shapely.polygons(first), shapely.polygons(second)
    shared = np.zeros((len(first), len(second)))
    shared[rows, columns] = shapely.area(shapely.intersection(here[rows], there[columns]))
    union = shapely.area(here)[:, None] + shapely.area(there)[None, :] - shared
    ious: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def box_iou(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (n, m) of the boxes (n, 4) with the boxes (m, 4), all as x1, y1, x2, y2."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    ious: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas
