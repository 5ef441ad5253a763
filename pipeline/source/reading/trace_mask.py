"""Convert a mask to outlines along the edges of its pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Int32Array
from pipeline.source.reading.shapes import Shape, build_outline


def trace_mask_outline(mask: NDArray[np.uint8], *, left: int = 0, top: int = 0) -> Shape:
    """Trace the nonzero pixels exactly: filling the rings gives the same mask, except for holes.

    OpenCV's contours join the centers of border pixels, half a pixel inside. In a mask of twice the size, a
    border pixel has an even coordinate on the left or upper side of its region and an odd one on the other
    side, so (c + 1) // 2 is the edge.

    Args:
        mask: (height, width).
        left: Added to x, for a mask that is a crop of a larger one.
        top: Added to y.
    """
    if not mask.any():
        return Shape("outline")
    x, y, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
    mask, corner = mask[y : y + height, x : x + width], np.array([left + x, top + y])
    twice = cv2.resize((mask != 0).astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, tree = cv2.findContours(twice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes = int((tree[0, :, 3] >= 0).sum())
    parts = []
    for contour, parent in zip(contours, tree[0, :, 3], strict=True):
        for loop in _split_loops(_keep_corners((contour[:, 0] + 1) // 2)) if parent < 0 else ():
            if _double_area(loop) < 0:  # OpenCV orders outer rings so that their shoelace area is negative
                parts.append(loop.astype(np.float64) + corner)
            else:
                holes += 1
    return build_outline(*parts, holes=holes)


def _keep_corners(edge: Int32Array) -> Int32Array:
    """Keep only the points of a ring where its direction changes."""
    edge = edge[(edge != np.roll(edge, 1, axis=0)).any(axis=1)]
    before, after = edge - np.roll(edge, 1, axis=0), np.roll(edge, -1, axis=0) - edge
    turns: Int32Array = edge[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return turns


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
