"""Rotated boxes, four corners in order: what an edge leaves of one stays a box in its direction."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray

LARGEST: Final = 1.009
"""Of the image, how large a label's extent may be: Ultralytics has 1.01, and six decimals round."""


def shrink(corners: FloatArray, visible: FloatArray, extent: tuple[int, int]) -> FloatArray:
    """Return the rectangle around what is visible of a rotated box, with its direction and order of corners.

    Where that is larger than the image, the upright one: Ultralytics takes such a label for damaged, and
    leaves the image out (ultralytics.data.utils.verify_image_label).

    Args:
        corners: (4, 2) the rotated box.
        visible: (k, 2) the outline of its part in the image.
        extent: Width and height of the image.
    """
    rectangle = _around(visible, corners)
    if (np.ptp(rectangle, axis=0) <= np.array(extent) * LARGEST).all():
        return rectangle
    (left, top), (right, bottom) = visible.min(axis=0), visible.max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _around(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Return the smallest rectangle around points in the direction of another one, and no larger than it."""
    ways = np.array([corners[1] - corners[0], corners[3] - corners[0]])
    sides = np.linalg.norm(ways, axis=1)
    axes = ways / np.maximum(sides, np.finfo(np.float64).tiny)[:, None]
    # within the rectangle's own sides, so that its own corners come out as they went in
    inside = (points - corners[0]) @ axes.T
    low, high = np.clip([inside.min(axis=0), inside.max(axis=0)], 0, sides)
    own = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    shrunk: FloatArray = corners[0] + own @ axes
    return shrunk
