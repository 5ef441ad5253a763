"""Trace masks along the edges of their pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Int32Array


def trace_pixel_edges(mask: NDArray[np.uint8], mode: int) -> tuple[list[Int32Array], NDArray[np.int32]]:
    """Trace the contours of the nonzero pixels along their edges; each has at least four corners.

    OpenCV's contours join the centers of border pixels, half a pixel inside. In a mask of twice the size, a
    border pixel has an even coordinate on the left or upper side of its region and an odd one on the other
    side, so (c + 1) // 2 is the edge.

    Args:
        mask: (height, width) with at least one nonzero pixel.
        mode: Of cv2.findContours, such as cv2.RETR_EXTERNAL.

    Returns:
        The corners (k, 2) of each contour, x and y from 0 to width and height: pixels that share only a
        corner are in one contour, which touches itself there. And for each contour the index of the one
        around it, or -1.
    """
    twice = cv2.resize((mask != 0).astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, tree = cv2.findContours(twice, mode, cv2.CHAIN_APPROX_NONE)
    return [_keep_corners((contour[:, 0] + 1) // 2) for contour in contours], tree[0, :, 3]


def _keep_corners(edge: Int32Array) -> Int32Array:
    """Keep only the points of a ring where its direction changes."""
    edge = edge[(edge != np.roll(edge, 1, axis=0)).any(axis=1)]
    before, after = edge - np.roll(edge, 1, axis=0), np.roll(edge, -1, axis=0) - edge
    turns: Int32Array = edge[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    return turns
