"""Fast path of the object check: all objects of an image at once, in numpy, when all of them are valid.

An image that passes gives exactly what `check.check_objects` returns after it checks the objects one by one,
without a finding. The limits here are stricter: objects in doubt do not pass, and are checked one by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.repair import clip_keypoints, find_odd_visibilities

FULL_IMAGE_SHARE: Final = 0.99
"""Share of the image from which on an object is reported as covering everything."""
_MIN_RECTANGLE_FILL: Final = 0.9995
"""Share of the rectangle along any of their sides that four corners enclose; `repair` requires 0.999."""
_MIN_EXTENT: Final = 1.0
"""Smallest side in pixels, and smallest area in square pixels."""


def fast_check_boxes(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return the upright boxes if all are valid, else None.

    Args:
        raw: The objects in pixels, of known classes.
        size: Width and height of the image in pixels.
    """
    width, height = size
    max_area = _max_area(size)
    all_valid = all(
        0 <= x1 <= x2 - _MIN_EXTENT < x2 <= width
        and 0 <= y1 <= y2 - _MIN_EXTENT < y2 <= height
        and (x2 - x1) * (y2 - y1) < max_area
        for x1, y1, x2, y2 in raw.boxes.tolist()
    )
    if not all_valid or not _are_distinct(raw.classes, raw.boxes):
        return None
    return CheckedObjects(raw.classes.astype(np.int64), raw.boxes.astype(np.float64), ())


def fast_check_outlines(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return the outlines if each is one ring inside the image that does not cross itself, else None.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
    """
    rings = _single_rings(raw)
    lengths = np.array([len(ring) for ring in rings])
    if not rings or lengths.min() < 3 or not _are_inside(corners := np.concatenate(rings), size):
        return None
    ends = np.cumsum(lengths)
    starts = ends - lengths
    previous = np.roll(corners, 1, axis=0)
    previous[starts] = corners[ends - 1]
    if (corners == previous).all(axis=1).any():
        return None
    ring_numbers = np.repeat(np.arange(len(rings)), lengths)
    polygons = shapely.polygons(shapely.linearrings(corners, indices=ring_numbers))
    if not shapely.is_valid(polygons).all() or not _have_valid_areas(shapely.area(polygons), size):
        return None
    boxes = [np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)]
    return _with_outlines(raw, np.concatenate(boxes, axis=1), np.split(corners, starts[1:]), size)


def fast_check_rectangles(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return the rotated boxes if each is four corners of a rectangle inside the image, else None.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
    """
    rings = _single_rings(raw)
    if not rings or any(ring.shape != (4, 2) for ring in rings) or not _are_inside(rings, size):
        return None
    corners = np.array(rings, np.float64)
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    areas = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    if not _have_valid_areas(areas, size) or not _are_rectangles(corners, areas):
        return None
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return _with_outlines(raw, boxes, list(corners), size)


def fast_check_poses(raw: RawObjects, size: tuple[int, int], *, count: int) -> CheckedObjects | None:
    """Return the poses if all boxes, visibilities and places of key points are valid, else None.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
        count: Number of key points of a pose.
    """
    checked = fast_check_boxes(raw, size)
    complete = len(raw.keypoints) == len(raw.marks) and all(p.shape == (count, 3) for p in raw.keypoints)
    if not checked or not complete:
        return None
    stated = np.array(raw.keypoints)
    keypoints, lost = clip_keypoints(stated, size)
    if lost.any() or find_odd_visibilities(stated).any() or not (keypoints[..., 2] > 0).any(axis=1).all():
        return None
    return checked._replace(keypoints=tuple(keypoints))


def _single_rings(raw: RawObjects) -> list[FloatArray]:
    """Return the ring of each object; an empty list where an object has none or several."""
    single = len(raw.outlines) == len(raw.marks) and all(len(parts) == 1 for parts in raw.outlines)
    return [part for (part,) in raw.outlines] if single else []


def _are_inside(corners: FloatArray | list[FloatArray], size: tuple[int, int]) -> bool:
    values = np.asarray(corners)
    return not np.signbit(values).any() and bool((values <= size).all())  # neither -0.0 nor NaN passes


def _have_valid_areas(areas: NDArray[np.float64], size: tuple[int, int]) -> bool:
    return bool(areas.min() >= _MIN_EXTENT and areas.max() < _max_area(size))


def _max_area(size: tuple[int, int]) -> float:
    """Return an area in square pixels that is below FULL_IMAGE_SHARE after any rounding."""
    return FULL_IMAGE_SHARE * size[0] * size[1] - 1


def _are_rectangles(corners: FloatArray, areas: NDArray[np.float64]) -> bool:
    """Check that each figure fills the box along any of its sides almost completely.

    Args:
        corners: (n, 4, 2).
        areas: (n,) areas of the figures.
    """
    sides = np.roll(corners, -1, axis=1) - corners
    normals = sides[..., ::-1] * [-1, 1]
    squares = (sides**2).sum(axis=2)
    along, across = (np.ptp(corners @ axes.swapaxes(1, 2), axis=1) for axes in (sides, normals))
    wide = (np.minimum(along, across) ** 2 >= _MIN_EXTENT**2 * squares).all()
    filled = (areas[:, None] * squares >= _MIN_RECTANGLE_FILL * along * across).all()
    return bool(wide and filled and squares.all())


def _with_outlines(
    raw: RawObjects, boxes: FloatArray, outlines: list[FloatArray], size: tuple[int, int]
) -> CheckedObjects | None:
    if not _are_distinct(raw.classes, boxes):
        return None
    clipped = np.clip(boxes, 0, [*size, *size])
    return CheckedObjects(raw.classes.astype(np.int64), clipped, (), tuple(outlines))


def _are_distinct(classes: NDArray[np.int64], boxes: FloatArray) -> bool:
    """Check that no two objects of a class have the same box, to a thousandth of a pixel."""
    if len(classes) < 2:
        return True
    distinct = set(zip(classes.tolist(), map(tuple, boxes.round(3).tolist()), strict=True))
    return len(distinct) == len(classes)
