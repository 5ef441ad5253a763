"""Masks of single objects, cropped to the object: rasterize outlines, compute IoU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class ObjectMask(NamedTuple):
    """The pixels of one object.

    Attributes:
        left: Column of the image where the mask starts.
        top: Row of the image where the mask starts.
        pixels: (height, width) bool; pixels outside are not part of the object.
    """

    left: int
    top: int
    pixels: NDArray[np.bool_]


def rasterize_outline(outline: NDArray[np.float64], size: tuple[int, int]) -> ObjectMask:
    """Fill an outline: return the pixels whose centers it encloses, by the even-odd rule.

    An edge from (x1, y1) to (x2, y2) crosses the center line of each row between y1 and y2 once. To the right
    of each crossing, inside and outside swap.

    Args:
        outline: (k, 2) x and y in pixels; the first pixel spans 0 to 1.
        size: Width and height of the image in pixels.
    """
    low = np.clip(np.floor(outline.min(axis=0)), 0, size).astype(int)
    high = np.clip(np.ceil(outline.max(axis=0)), low, size).astype(int)
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    rows, places = _crossings(outline - low, height)
    columns = np.clip(np.ceil(places - 0.5), 0, width).astype(int)
    changes = np.zeros((height, width + 1), np.uint8)  # overflow of uint8 keeps odd and even
    np.add.at(changes, (rows, columns), 1)
    crossed = np.cumsum(changes[:, :width], axis=1, dtype=np.uint8)
    return ObjectMask(left, top, crossed % 2 == 1)


def mask_iou(first: Sequence[ObjectMask], second: Sequence[ObjectMask]) -> NDArray[np.float64]:
    """Return the IoU (n, m) of masks."""
    areas = [np.array([mask.pixels.sum() for mask in masks], np.float64) for masks in (first, second)]
    shared = count_shared_pixels(first, second)
    union = areas[0][:, None] + areas[1][None, :] - shared
    ious: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def count_shared_pixels(first: Sequence[ObjectMask], second: Sequence[ObjectMask]) -> NDArray[np.float64]:
    """Return how many pixels (n, m) masks share; only pairs whose crops overlap are computed."""
    here, there = _extents(first), _extents(second)
    low = np.maximum(here[:, None, :2], there[None, :, :2])
    high = np.minimum(here[:, None, 2:], there[None, :, 2:])
    shared = np.zeros((len(first), len(second)))
    for row, column in np.argwhere((high > low).all(axis=2)).tolist():
        box = (*low[row, column].tolist(), *high[row, column].tolist())
        shared[row, column] = np.count_nonzero(_crop(first[row], box) & _crop(second[column], box))
    return shared


def _crossings(outline: NDArray[np.float64], height: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the row (c,) and the x (c,) of each crossing of an edge and the center line of a row."""
    start, end = outline, np.roll(outline, -1, axis=0)
    upper, lower = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(np.int64) for y in (upper, lower))
    counts = last - first
    edges = np.repeat(np.arange(len(outline)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    (x1, y1), (x2, y2) = start[edges].T, end[edges].T
    return rows, x1 + (rows + 0.5 - y1) * (x2 - x1) / np.where(y1 == y2, 1.0, y2 - y1)


def _extents(masks: Sequence[ObjectMask]) -> NDArray[np.int64]:
    rows = [(m.left, m.top, m.left + m.pixels.shape[1], m.top + m.pixels.shape[0]) for m in masks]
    return np.array(rows, np.int64).reshape(-1, 4)


def _crop(mask: ObjectMask, box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    return mask.pixels[top - mask.top : bottom - mask.top, left - mask.left : right - mask.left]
