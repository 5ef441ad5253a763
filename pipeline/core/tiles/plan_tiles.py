"""Divide an image into overlapping tiles of one size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray


class Tile(NamedTuple):
    """A rectangle of an image, in whole pixels.

    Attributes:
        left: Its first column.
        top: Its first row.
        right: The column after its last one.
        bottom: The row after its last one.
    """

    left: int
    top: int
    right: int
    bottom: int

    def intersect(self, other: Tile) -> Tile | None:
        """Return what both cover; None where that is nothing."""
        low = np.maximum(self[:2], other[:2]).tolist()
        high = np.minimum(self[2:], other[2:]).tolist()
        return Tile(*low, *high) if low[0] < high[0] and low[1] < high[1] else None


def plan_tiles(size: tuple[int, int], side: int, overlap: float) -> list[Tile]:
    """Return the tiles of an image, row by row: evenly spread, all of one size.

    Args:
        size: Width and height of the image in pixels.
        side: Width and height of a tile in pixels; of a smaller image, its own.
        overlap: The least share of a tile's side that it has in common with the next one, 0 to below 1.
    """
    columns, rows = (_spread_starts(length, side, overlap) for length in size)
    width, height = (min(side, length) for length in size)
    return [Tile(left, top, left + width, top + height) for top in rows for left in columns]


def iterate_overlapping_pairs(tiles: Sequence[Tile]) -> Iterator[tuple[int, int]]:
    """Yield the indices of each two tiles that have pixels in common, the smaller index first, in order.

    Of the pairs of a large image's tiles nearly all have nothing in common: they are not looked at one by
    one.
    """
    sides = np.array(tiles, np.int64).reshape(-1, 4)
    for index, (left, top, right, bottom) in enumerate(sides.tolist()):
        later = sides[index + 1 :]
        common = (later[:, 0] < right) & (later[:, 2] > left) & (later[:, 1] < bottom) & (later[:, 3] > top)
        yield from ((index, index + 1 + other) for other in np.flatnonzero(common).tolist())


def snap_to_borders(
    boxes: FloatArray, tile: Tile, size: tuple[int, int], margin: float
) -> tuple[FloatArray, BoolArray]:
    """Return boxes (n, 4) that end at the tile's borders where they nearly do, and a mask (n,) of them.

    The borders that are the image's edges do not count. A box that ends at another one shows a part of an
    object: what lies beyond is cut.

    Args:
        boxes: (n, 4) x1 y1 x2 y2 in pixels of the image.
        tile: The tile in which they were found.
        size: Width and height of the image.
        margin: How near to the border, in pixels, is nearly at the border.
    """
    low = np.array([start or -np.inf for start in tile[:2]])
    high = np.array([end if end < length else np.inf for end, length in zip(tile[2:], size, strict=True)])
    first, last = boxes[:, :2], boxes[:, 2:]
    starts, ends = first <= low + margin, last >= high - margin
    snapped = np.concatenate([np.where(starts, low, first), np.where(ends, high, last)], axis=1)
    return snapped, np.asarray((starts | ends).any(axis=1))


def _spread_starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = max(1.0, side * (1 - overlap))
    count = math.ceil((length - side) / step) + 1
    starts: list[int] = np.rint(np.linspace(0, length - side, count)).astype(int).tolist()
    return starts
