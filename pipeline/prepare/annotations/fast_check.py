"""See at a glance, of all objects of an image at once, that nothing is amiss: as it is with nearly all.

What passes is what `objects` would return after a look at each, value for value, without a finding. Whatever
is in doubt does not pass, and gets that look: limits are drawn tighter here than there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.repair import clip_keypoints

EVERYTHING: Final = 0.99
"""Share of the image that an object covers before somebody should look at it."""
_SQUARE: Final = 0.9995
"""Share of a rectangle along any of its sides that four corners enclose; `rectangles` asks for 0.999."""
_LEAST: Final = 1.0
"""Pixels, and square pixels: of a side and of an area."""


def boxes(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return upright boxes in which nothing is amiss.

    Args:
        raw: The objects in pixels, of known classes.
        size: Width and height of the image in pixels.
    """
    width, height = size
    most = _most(size)
    sound = all(
        0 <= x1 <= x2 - _LEAST < x2 <= width
        and 0 <= y1 <= y2 - _LEAST < y2 <= height
        and (x2 - x1) * (y2 - y1) < most
        for x1, y1, x2, y2 in raw.boxes.tolist()
    )
    if not sound or not _different(raw.classes, raw.boxes):
        return None
    return CheckedObjects(raw.classes.astype(np.int64), raw.boxes.astype(np.float64), ())


def outlines(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return outlines in which nothing is amiss: one ring each, in the image, that does not cross itself.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
    """
    rings = _single(raw)
    lengths = np.array([len(ring) for ring in rings])
    if not rings or lengths.min() < 3 or not _within(corners := np.concatenate(rings), size):
        return None
    ends = np.cumsum(lengths)
    starts = ends - lengths
    before = np.roll(corners, 1, axis=0)
    before[starts] = corners[ends - 1]
    if (corners == before).all(axis=1).any():
        return None
    numbers = np.repeat(np.arange(len(rings)), lengths)
    drawn = shapely.polygons(shapely.linearrings(corners, indices=numbers))
    if not shapely.is_valid(drawn).all() or not _sized(shapely.area(drawn), size):
        return None
    extents = [np.minimum.reduceat(corners, starts), np.maximum.reduceat(corners, starts)]
    return _drawn(raw, np.concatenate(extents, axis=1), np.split(corners, starts[1:]), size)


def rectangles(raw: RawObjects, size: tuple[int, int]) -> CheckedObjects | None:
    """Return rotated boxes in which nothing is amiss: four corners of a rectangle in the image.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
    """
    rings = _single(raw)
    if not rings or any(ring.shape != (4, 2) for ring in rings) or not _within(rings, size):
        return None
    corners = np.array(rings, np.float64)
    first, second = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    areas = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    if not _sized(areas, size) or not _upright(corners, areas):
        return None
    extents = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    return _drawn(raw, extents, list(corners), size)


def poses(raw: RawObjects, size: tuple[int, int], *, count: int) -> CheckedObjects | None:
    """Return poses in which nothing is amiss: sound boxes, and points of which none has to go.

    Args:
        raw: The objects in pixels, at least one, of known classes.
        size: Width and height of the image in pixels.
        count: Points of a pose.
    """
    seen = boxes(raw, size)
    complete = len(raw.keypoints) == len(raw.marks) and all(p.shape == (count, 3) for p in raw.keypoints)
    if not seen or not complete:
        return None
    placed, lost = clip_keypoints(np.array(raw.keypoints), size)
    if lost.any() or not (placed[..., 2] > 0).any(axis=1).all():
        return None
    return seen._replace(keypoints=tuple(placed))


def _single(raw: RawObjects) -> list[FloatArray]:
    """Return the only ring of each object; nothing where one has another number of them."""
    whole = len(raw.outlines) == len(raw.marks) and all(len(parts) == 1 for parts in raw.outlines)
    return [part for (part,) in raw.outlines] if whole else []


def _within(corners: FloatArray | list[FloatArray], size: tuple[int, int]) -> bool:
    found = np.asarray(corners)
    return not np.signbit(found).any() and bool((found <= size).all())  # neither -0.0 nor NaN is within


def _sized(areas: NDArray[np.float64], size: tuple[int, int]) -> bool:
    return bool(areas.min() >= _LEAST and areas.max() < _most(size))


def _most(size: tuple[int, int]) -> float:
    """Return square pixels that are too few for `everything`, however they are rounded."""
    return EVERYTHING * size[0] * size[1] - 1


def _upright(corners: FloatArray, areas: NDArray[np.float64]) -> bool:
    """Tell rectangles: laid along any side of theirs, a box around them is hardly larger than they are.

    Args:
        corners: (n, 4, 2).
        areas: (n,) what they go round.
    """
    sides = np.roll(corners, -1, axis=1) - corners
    across = sides[..., ::-1] * [-1, 1]
    squares = (sides**2).sum(axis=2)
    along, aside = (np.ptp(corners @ axes.swapaxes(1, 2), axis=1) for axes in (sides, across))
    wide = (np.minimum(along, aside) ** 2 >= _LEAST**2 * squares).all()
    return bool(wide and (areas[:, None] * squares >= _SQUARE * along * aside).all() and squares.all())


def _drawn(
    raw: RawObjects, extents: FloatArray, rings: list[FloatArray], size: tuple[int, int]
) -> CheckedObjects | None:
    if not _different(raw.classes, extents):
        return None
    inside = np.clip(extents, 0, [*size, *size])
    return CheckedObjects(raw.classes.astype(np.int64), inside, (), tuple(rings))


def _different(classes: NDArray[np.int64], extents: FloatArray) -> bool:
    """Tell that no two objects of a class have the same extent, to a thousandth of a pixel."""
    if len(classes) < 2:
        return True
    found = set(zip(classes.tolist(), map(tuple, extents.round(3).tolist()), strict=True))
    return len(found) == len(classes)
