"""Positions of the images in mosaics, color tables, and the boxes after mosaic, warp and flips.

The rules are those of Ultralytics' Mosaic, RandomPerspective, RandomHSV and RandomFlip, for a whole batch.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.yolo.gpu_loader.parameters import BatchParameters

TILE_SIDES: Final[IntArray] = np.array([[1, 1], [0, 1], [1, 0], [0, 0]])
"""Whether a tile is left of, and above, the center: top left, top right, bottom left, bottom right."""

MIN_BOX_PIXELS: Final = 2.0
MAX_ASPECT_RATIO: Final = 100.0
MIN_AREA_SHARE: Final = 0.1
"""A box is kept if it is wider and higher than 2 pixels, less than 100 times as long as wide, and more than a
tenth of its area is left: the defaults of RandomPerspective.box_candidates."""


class BoxTable(NamedTuple):
    """The boxes of all images, one after the other.

    Args:
        boxes: (m, 4) center, width and height as shares of the image.
        classes: (m,).
        starts: (images + 1,) index of the first box of each image.
    """

    boxes: FloatArray
    classes: FloatArray
    starts: IntArray


class TilePlacement(NamedTuple):
    """Positions of images on n canvases, in pixels.

    Args:
        offset: (n, 4, 2) the top left corner of each image.
        visible: (n, 4, 4) the part of the canvas that each image covers: x1, y1, x2, y2.
    """

    offset: IntArray
    visible: IntArray


def place_tiles(parameters: BatchParameters, sizes: IntArray, side: int) -> TilePlacement:
    """Place the images on their canvases. Without a mosaic the three other images cover nothing.

    Args:
        parameters: Of n images.
        sizes: (images, 2) width and height of all images.
        side: Side of the output; a mosaic is twice as large.
    """
    size = sizes[parameters.sources]
    offset = parameters.center[:, None] - TILE_SIDES * size
    visible: IntArray = np.concatenate([offset, offset + size], axis=2).clip(0, 2 * side)
    single = ~parameters.mosaic
    offset[single] = 0
    visible[single] = 0
    visible[single, 0, 2:] = size[single, 0]
    return TilePlacement(offset, visible)


def invert_matrices(parameters: BatchParameters, side: int) -> FloatArray:
    """Return the matrices (n, 3, 3) from pixels of the flipped output to pixels of the canvas.

    Args:
        parameters: Of n images.
        side: Side of the output.
    """
    flip = np.tile(np.eye(3), (len(parameters.scale), 1, 1))
    for axis in (0, 1):
        flip[parameters.flips[:, axis], axis, axis] = -1
        flip[parameters.flips[:, axis], axis, 2] = side - 1
    return np.linalg.inv(parameters.matrix) @ flip


def build_color_tables(gains: FloatArray) -> NDArray[np.uint8]:
    """Build the lookup tables (n, 3, 256) for hue (0..179), saturation and value, 8 bits each.

    Args:
        gains: (n, 3).
    """
    values = np.arange(256.0)
    hue = (values + gains[:, 0, None] * 180) % 180
    rest = np.clip(values * (gains[:, 1:, None] + 1), 0, 255)
    tables = np.concatenate([hue[:, None], rest], axis=1).astype(np.uint8)
    tables[:, 1, 0] = 0  # white stays white
    return tables


def transform_boxes(
    parameters: BatchParameters, tiles: TilePlacement, annotations: BoxTable, sizes: IntArray, side: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return the boxes that are left in the outputs (m, 4), their classes (m,) and image indices (m,).

    Args:
        parameters: Of n images.
        tiles: Positions of the images on the canvases.
        annotations: The boxes of all images.
        sizes: (images, 2) width and height of all images.
        side: Side of the output; boxes are shares of it.
    """
    rows, tile = _gather_boxes(parameters, annotations)
    image = tile // 4
    before = _to_corners(annotations.boxes[rows]) * np.tile(sizes[parameters.sources.reshape(-1)[tile]], 2)
    before += np.tile(tiles.offset.reshape(-1, 2)[tile], 2)
    mosaic = parameters.mosaic[image]
    before[mosaic] = np.clip(before[mosaic], 0, 2 * side)
    after = np.clip(_warp_boxes(before, parameters.matrix[image]), 0, side)
    kept = _is_box_kept(before * parameters.scale[image, None], after) & (~mosaic | (_box_area(before) > 0))
    after, image = after[kept], image[kept]
    for axis in (0, 1):
        flipped = parameters.flips[image, axis]
        after[flipped, axis::2] = side - after[flipped, axis::2][:, ::-1]
    shares = np.concatenate([(after[:, :2] + after[:, 2:]) / 2, after[:, 2:] - after[:, :2]], axis=1) / side
    return shares, annotations.classes[rows][kept], image


def _gather_boxes(parameters: BatchParameters, annotations: BoxTable) -> tuple[IntArray, IntArray]:
    """Return the rows of all boxes on the canvases, and the tile of each: 4 * image + place in the mosaic."""
    used = parameters.mosaic[:, None] | (np.arange(4) == 0)
    sources = parameters.sources.reshape(-1)
    starts = annotations.starts[sources]
    counts = (annotations.starts[sources + 1] - starts) * used.reshape(-1)
    tile = np.repeat(np.arange(len(sources)), counts)
    within = np.arange(len(tile)) - np.repeat(np.cumsum(counts) - counts, counts)
    return starts[tile] + within, tile


def _to_corners(shares: FloatArray) -> FloatArray:
    return np.concatenate([shares[:, :2] - shares[:, 2:] / 2, shares[:, :2] + shares[:, 2:] / 2], axis=1)


def _warp_boxes(corners: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return the upright boxes around the boxes after each went through its matrix."""
    points = np.ones((len(corners), 4, 3))
    points[..., :2] = corners[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 4, 2)
    points = points @ matrix.transpose(0, 2, 1)
    points = points[..., :2] / points[..., 2:]
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


def _is_box_kept(before: FloatArray, after: FloatArray) -> BoolArray:
    """Tell which boxes are still large enough: see MIN_BOX_PIXELS, MAX_ASPECT_RATIO and MIN_AREA_SHARE."""
    width, height = (after[:, 2:] - after[:, :2]).T
    ratio = np.maximum(width / (height + 1e-16), height / (width + 1e-16))
    share = width * height / (_box_area(before) + 1e-16)
    large = (width > MIN_BOX_PIXELS) & (height > MIN_BOX_PIXELS)
    kept: BoolArray = large & (share > MIN_AREA_SHARE) & (ratio < MAX_ASPECT_RATIO)
    return kept


def _box_area(corners: FloatArray) -> FloatArray:
    area: FloatArray = (corners[:, 2:] - corners[:, :2]).prod(axis=1)
    return area
