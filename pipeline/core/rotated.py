"""How much rotated boxes share: the exact area of the polygon that they have in common."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
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
