"""Convert a mask to outlines along the edges of its pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Int32Array
from pipeline.dataset.geometry.pixel_edges import trace_pixel_edges
from pipeline.source.reading.shapes import Shape, build_outline


def trace_mask_outline(mask: NDArray[np.uint8], *, left: int = 0, top: int = 0) -> Shape:
    """Trace the nonzero pixels exactly: filling the rings gives the same mask, except for holes.

    Args:
        mask: (height, width).
        left: Added to x, for a mask that is a crop of a larger one.
        top: Added to y.
    """
    if not mask.any():
        return Shape("outline")
    x, y, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
    mask, corner = mask[y : y + height, x : x + width], np.array([left + x, top + y])
    contours, parents = trace_pixel_edges(mask, cv2.RETR_CCOMP)
    holes = int((parents >= 0).sum())
    parts = []
    for contour, parent in zip(contours, parents, strict=True):
        for loop in _split_loops(contour) if parent < 0 else ():
            if _double_area(loop) < 0:  # OpenCV orders outer rings so that their shoelace area is negative
                parts.append(loop.astype(np.float64) + corner)
            else:
                holes += 1
    return build_outline(*parts, holes=holes)


def _split_loops(ring: Int32Array) -> list[Int32Array]:
    """Split a ring where it touches itself: at pixels that share only a corner."""
    loops: list[Int32Array] = []
    path: list[tuple[int, int]] = []
    index_of: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        point = (x, y)
        if point in index_of:
            start = index_of[point]
            loops.append(np.array(path[start:], np.int32))
            for visited in path[start:]:
                del index_of[visited]
            del path[start:]
        index_of[point] = len(path)
        path.append(point)
    return [*loops, np.array(path, np.int32)]


def _double_area(ring: Int32Array) -> float:
    """Return twice the signed area (shoelace formula)."""
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
