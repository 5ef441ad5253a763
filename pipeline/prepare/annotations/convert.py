"""From what annotations are for to what a task needs: outlines and poses to boxes, outlines to rectangles."""

from __future__ import annotations

import numpy as np
import shapely

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task


def convert(raw: RawObjects, found: Task, wanted: Task) -> RawObjects:
    """Return the objects in the form that a task needs; nothing is checked here.

    Args:
        raw: The objects, in pixels: a rectangle around shares of an oblong image is none in its pixels.
        found: What the annotations serve.
        wanted: A task that they can be turned into (`tasks.serves`).
    """
    if found == wanted:
        return raw
    if wanted == "obb":
        return raw._replace(outlines=tuple(_cornered(parts) for parts in raw.outlines), keypoints=())
    return raw._replace(outlines=(), keypoints=())


def scaled(raw: RawObjects, size: tuple[int, int]) -> RawObjects:
    """Turn shares of the image into pixels.

    Args:
        raw: The objects in shares.
        size: Width and height of the image in pixels.
    """
    sides = np.array(size, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is found out as such later
        return raw._replace(
            boxes=raw.boxes * np.tile(sides, 2),
            outlines=tuple(tuple(part * sides for part in parts) for parts in raw.outlines),
            keypoints=tuple(points * [*sides, 1] for points in raw.keypoints),
        )


def rectangle(points: FloatArray) -> FloatArray | None:
    """Return the four corners (4, 2) of the smallest rectangle, turned as it may be, around points (k, 2).

    Points in a line have none.
    """
    around = shapely.minimum_rotated_rectangle(shapely.MultiPoint(points))
    return np.array(around.exterior.coords[:4]) if around.area > 0 else None


def _cornered(parts: tuple[FloatArray, ...]) -> tuple[FloatArray, ...]:
    """Exchange the parts of an outline for one rectangle; what is no number stays, to be reported as such."""
    if not parts or not np.isfinite(points := np.concatenate(parts)).all():
        return parts
    corners = rectangle(points)
    return parts if corners is None else (corners,)
