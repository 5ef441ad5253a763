"""Convert annotations to another task (outlines to boxes or rotated boxes) and to pixel coordinates."""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task

_MAX_FIT_COORDINATE: Final = 1e100
"""Larger coordinates overflow when squared: GEOS then warns, or raises an error that depends on chance."""


def convert_objects(raw: RawObjects, source_task: Task, task: Task) -> RawObjects:
    """Return the objects in the form that a task needs, without checking them.

    Args:
        raw: The objects in pixels: a rectangle in shares of an image that is not square is no rectangle
            in pixels.
        source_task: The task of the annotations.
        task: A task that they can be converted to (`tasks.can_convert_task`).
    """
    if source_task == task:
        return raw
    if task == "obb":
        return raw._replace(
            outlines=tuple(_parts_to_rectangle(parts) for parts in raw.outlines), keypoints=()
        )
    return raw._replace(outlines=(), keypoints=())


def scale_to_pixels(raw: RawObjects, size: tuple[float, float]) -> RawObjects:
    """Convert coordinates from shares of the image to pixels.

    Args:
        raw: The objects in shares.
        size: Width and height of the image in pixels; or two factors by which pixels are scaled.
    """
    sides = np.array(size, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # the check reports infinity and NaN later
        return raw._replace(
            boxes=raw.boxes * np.tile(sides, 2),
            outlines=tuple(tuple(part * sides for part in parts) for parts in raw.outlines),
            keypoints=tuple(points * [*sides, 1] for points in raw.keypoints),
        )


def fit_rectangle(points: FloatArray) -> FloatArray | None:
    """Return the four corners (4, 2) of the smallest rotated rectangle around points (k, 2).

    Returns:
        None where the points are on one line.
    """
    around = shapely.minimum_rotated_rectangle(shapely.MultiPoint(points))
    return np.array(around.exterior.coords[:4]) if around.area > 0 else None


def _parts_to_rectangle(parts: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Replace the parts of an outline by one rectangle; return invalid parts as they are, to be reported."""
    points = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not parts or not (np.abs(points) <= _MAX_FIT_COORDINATE).all():  # NaN is not below the limit
        return parts
    corners = fit_rectangle(points)
    return parts if corners is None else (corners,)
