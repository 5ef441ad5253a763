"""Masks as outlines, along the edges of their pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Int32Array
from pipeline.source.reading.shapes import Shape, outline


def trace(mask: NDArray[np.uint8], *, left: int = 0, top: int = 0) -> Shape:
    """Outline what is not zero, exactly: filled again, the rings give the mask back, holes apart.

    OpenCV's contours join the centres of border pixels, half a pixel inside. In the mask at twice the size a
    border pixel has an even coordinate on the left or upper side of what it belongs to and an odd one on the
    other, so that (c + 1) // 2 is the edge.

    Args:
        mask: (height, width).
        left: Added to x, for a mask that was cut out of a larger one.
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
        for loop in _loops(_turns((contour[:, 0] + 1) // 2)) if parent < 0 else ():
            if _area(loop) < 0:  # OpenCV goes round outer rings against the clock of x and y
                parts.append(loop.astype(np.float64) + corner)
            else:
                holes += 1
    return outline(*parts, holes=holes)


def _turns(edge: Int32Array) -> Int32Array:
    """Keep the points of a ring at which it turns."""
    edge = edge[(edge != np.roll(edge, 1, axis=0)).any(axis=1)]
    before, after = edge - np.roll(edge, 1, axis=0), np.roll(edge, -1, axis=0) - edge
    turns: Int32Array = edge[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return turns


def _loops(ring: Int32Array) -> list[Int32Array]:
    """Take a ring apart where it touches itself, at pixels that meet at a corner alone."""
    loops: list[Int32Array] = []
    path: list[tuple[int, int]] = []
    at: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        point = (x, y)
        if point in at:
            start = at[point]
            loops.append(np.array(path[start:], np.int32))
            for passed in path[start:]:
                del at[passed]
            del path[start:]
        at[point] = len(path)
        path.append(point)
    return [*loops, np.array(path, np.int32)]


def _area(ring: Int32Array) -> float:
    """Return twice the signed area (the shoelace formula)."""
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
