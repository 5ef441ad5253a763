"""Where the four images of a mosaic land, what its warp shows of them, and what becomes of their boxes.

The rules are those of Ultralytics' Mosaic, RandomPerspective, RandomHSV and RandomFlip, for a batch at once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.yolo.gpu_loader.parameters import BatchParameters

QUARTERS: Final[IntArray] = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
"""Whether a quarter lies left of, and above, the centre: top left, top right, bottom left, bottom right."""

THINNEST: Final = 2.0
LONGEST: Final = 100.0
LEAST: Final = 0.1
"""A box is kept if it is wider and higher than 2 pixels, less than 100 times as long as wide, and more than a
tenth of its area is left: the defaults of RandomPerspective.box_candidates."""


class BoxTable(NamedTuple):
    """The boxes of all images, one after the other.

    Args:
        boxes: (m, 4) centre, width and height as shares of the image.
        classes: (m,).
        starts: (images + 1,) where those of each image begin.
    """

    boxes: FloatArray
    classes: FloatArray
    starts: IntArray


class TilePlacement(NamedTuple):
    """Where images lie on n canvases.

    Args:
        offset: (n, 4, 2) of their corners.
        seen: (n, 4, 4) what the canvas shows of them: x1, y1, x2, y2.
    """

    offset: IntArray
    seen: IntArray


def place(draws: BatchParameters, sizes: IntArray, side: int) -> TilePlacement:
    """Lay the images on their canvases; of one that is no mosaic the other three show nothing.

    Args:
        draws: Of n images.
        sizes: (images, 2) width and height of all there are.
        side: Of the output; a mosaic has twice as much.
    """
    size = sizes[draws.sources]
    offset = draws.centre[:, None] - QUARTERS * size
    seen: IntArray = np.concatenate([offset, offset + size], axis=2).clip(0, 2 * side)
    alone = ~draws.mosaic
    offset[alone] = 0
    seen[alone] = 0
    seen[alone, 0, 2:] = size[alone, 0]
    return TilePlacement(offset, seen)


def look_back(draws: BatchParameters, side: int) -> FloatArray:
    """Return the matrices (n, 3, 3) from pixels of the flipped output to those of the canvas.

    Args:
        draws: Of n images.
        side: Of the output.
    """
    flip = np.tile(np.eye(3), (len(draws.zoom), 1, 1))
    for axis in (0, 1):
        flip[draws.flips[:, axis], axis, axis] = -1
        flip[draws.flips[:, axis], axis, 2] = side - 1
    return np.linalg.inv(draws.matrix) @ flip


def tables(gains: FloatArray) -> NDArray[np.uint8]:
    """Return the tables (n, 3, 256) through which hue (0..179), saturation and value of 8 bits go.

    Args:
        gains: (n, 3).
    """
    values = np.arange(256.0)
    hue = (values + gains[:, 0, None] * 180) % 180
    rest = np.clip(values * (gains[:, 1:, None] + 1), 0, 255)
    found = np.concatenate([hue[:, None], rest], axis=1).astype(np.uint8)
    found[:, 1, 0] = 0  # white has no colour to gain
    return found


def boxes(
    draws: BatchParameters, placed: TilePlacement, annotations: BoxTable, sizes: IntArray, side: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the boxes that are left in each output (m, 4), their classes (m,) and images (m,).

    Args:
        draws: Of n images.
        placed: Where images lie on the canvases.
        annotations: Those of all images.
        sizes: (images, 2) width and height of all there are.
        side: Of the output; boxes are shares of it.
    """
    rows, quarter = _gathered(draws, annotations)
    image = quarter // 4
    before = _corners(annotations.boxes[rows]) * np.tile(sizes[draws.sources.reshape(-1)[quarter]], 2)
    before += np.tile(placed.offset.reshape(-1, 2)[quarter], 2)
    mosaic = draws.mosaic[image]
    before[mosaic] = np.clip(before[mosaic], 0, 2 * side)
    after = np.clip(_moved(before, draws.matrix[image]), 0, side)
    kept = _left(before * draws.zoom[image, None], after) & (~mosaic | (_area(before) > 0))
    after, image = after[kept], image[kept]
    for axis in (0, 1):
        flipped = draws.flips[image, axis]
        after[flipped, axis::2] = side - after[flipped, axis::2][:, ::-1]
    shares = np.concatenate([(after[:, :2] + after[:, 2:]) / 2, after[:, 2:] - after[:, :2]], axis=1) / side
    return shares, annotations.classes[rows][kept], image


def _gathered(draws: BatchParameters, annotations: BoxTable) -> tuple[IntArray, IntArray]:
    """Return the rows of all labels on the canvases, and of each the quarter, counted through."""
    used = draws.mosaic[:, None] | (np.arange(4) == 0)
    sources = draws.sources.reshape(-1)
    starts = annotations.starts[sources]
    counts = (annotations.starts[sources + 1] - starts) * used.reshape(-1)
    quarter = np.repeat(np.arange(len(sources)), counts)
    within = np.arange(len(quarter)) - np.repeat(np.cumsum(counts) - counts, counts)
    return starts[quarter] + within, quarter


def _corners(shares: FloatArray) -> FloatArray:
    return np.concatenate([shares[:, :2] - shares[:, 2:] / 2, shares[:, :2] + shares[:, 2:] / 2], axis=1)


def _moved(corners: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return the upright boxes around those that each went through its matrix."""
    points = np.ones((len(corners), 4, 3))
    points[..., :2] = corners[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 4, 2)
    points = points @ matrix.transpose(0, 2, 1)
    points = points[..., :2] / points[..., 2:]
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def _left(before: FloatArray, after: FloatArray) -> BoolArray:
    """Tell which boxes still show enough; see THINNEST, LONGEST and LEAST."""
    width, height = (after[:, 2:] - after[:, :2]).T
    ratio = np.maximum(width / (height + 1e-16), height / (width + 1e-16))
    share = width * height / (_area(before) + 1e-16)
    found: BoolArray = (width > THINNEST) & (height > THINNEST) & (share > LEAST) & (ratio < LONGEST)
    return found


def _area(corners: FloatArray) -> FloatArray:
    area: FloatArray = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    return area
