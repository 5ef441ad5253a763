"""Measure rotated boxes (four corners in order), and shrink them to their visible part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray

MAX_EXTENT_SHARE: Final = 1.009
"""Largest extent of a label as a share of the image. Ultralytics allows 1.01; labels have six decimals."""


def measure_rotated_sides(corners: Sequence[FloatArray]) -> FloatArray:
    """Return the lengths (n, 2) of the first and second side of n rotated boxes (4, 2), in their unit."""
    stacked = np.reshape(corners, (-1, 4, 2))
    sides: FloatArray = np.linalg.norm(stacked[:, 1:3] - stacked[:, :2], axis=2)
    return sides


def shrink_rotated_box(corners: FloatArray, visible: FloatArray, extent: tuple[int, int]) -> FloatArray:
    """Return the rectangle around the visible part of a rotated box, with its direction and corner order.

    If that is larger than the image, return the upright rectangle instead: Ultralytics rejects the image of
    such a label as corrupt (ultralytics.data.utils.verify_image_label).

    Args:
        corners: (4, 2) the rotated box.
        visible: (k, 2) the outline of its part in the image.
        extent: Width and height of the image.
    """
    rectangle = _enclosing_rectangle(visible, corners)
    if (np.ptp(rectangle, axis=0) <= np.array(extent) * MAX_EXTENT_SHARE).all():
        return rectangle
    (left, top), (right, bottom) = visible.min(axis=0), visible.max(axis=0)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _enclosing_rectangle(points: FloatArray, corners: FloatArray) -> FloatArray:
    """Return the smallest rectangle around points in the direction of another one, and within it."""
    ways = np.array([corners[1] - corners[0], corners[3] - corners[0]])
    sides = np.linalg.norm(ways, axis=1)
    axes = ways / np.maximum(sides, np.finfo(np.float64).tiny)[:, None]
    # limited to the rectangle's sides, so that its own corners are returned unchanged
    inside = (points - corners[0]) @ axes.T
    low, high = np.clip([inside.min(axis=0), inside.max(axis=0)], 0, sides)
    own = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    shrunk: FloatArray = corners[0] + own @ axes
    return shrunk
