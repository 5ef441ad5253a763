"""The figures behind the pictures of a dataset's report: histograms, heat maps, co-occurrence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.paths import SPLITS
from pipeline.prepare.report.statistics import DatasetColumns

IMGSZ: Final = 640
"""Ultralytics' default: the side to which an image's longer one is scaled."""

OTHERS: Final = (256, 320, IMGSZ, 1280)
"""What it is set to: a dataset is looked at before it is known which, and for several trainings."""

SIDES: Final = (0, 4, 8, 16, 32, 64, 128, 256, 512)
"""Edges of the classes of size, in pixels of an object's shorter side at IMGSZ."""

TINY: Final = 8
"""Pixels: the finest stride of YOLO's heads; what is smaller falls into less than one cell."""

GRID: Final = 48
"""Cells of the heat maps, each way."""

STEPS: Final = 24
"""Of the histograms of brightness and sharpness."""


class Histogram(NamedTuple):
    """Counts between edges.

    Attributes:
        edges: (n + 1) ascending.
        counts: n counts of each series, such as a split.
    """

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]


def per_image(table: DatasetColumns, *, most: int = 24) -> Histogram:
    """Count images that have objects by their number, in at most `most` steps of a whole width."""
    found = table.per_image
    largest = int(found.max(initial=1))
    step = -(-largest // most)
    edges = tuple(float(edge) for edge in range(1, largest + step + 1, step))
    return _by_split(table, np.where(found > 0, found, np.nan), edges)


def shorter_sides(table: DatasetColumns, imgsz: int = IMGSZ) -> NDArray[np.float64]:
    """Return each object's shorter side in pixels once its image is scaled to `imgsz`."""
    longest = table.sizes.max(axis=1)[table.images]
    found: NDArray[np.float64] = np.round(table.extents.min(axis=1) * imgsz / longest, 3)
    return found  # rounded: shares of an image give 8 pixels as 7.999999


def sides(table: DatasetColumns) -> Histogram:
    """Count objects by their shorter side in pixels at IMGSZ."""
    edges = (*map(float, SIDES), float("inf"))
    return _objects(table, shorter_sides(table), edges)


def tiny(table: DatasetColumns) -> dict[int, float]:
    """Return the share of the objects that are under TINY pixels on their shorter side, for each imgsz."""
    return {
        imgsz: float((shorter_sides(table, imgsz) < TINY).mean()) if len(table.classes) else 0.0
        for imgsz in OTHERS
    }


def aspects(table: DatasetColumns) -> Histogram:
    """Count objects by the logarithm to base 2 of width over height, in half steps from 1:16 to 16:1."""
    edges = tuple(np.linspace(-4.25, 4.25, 18).tolist())
    return _objects(table, np.clip(np.log2(table.aspects), -4, 4), edges)


def brightness(table: DatasetColumns) -> Histogram:
    """Count images by the mean of their grey values, from the least to the greatest twentieth there is."""
    return _by_split(table, table.brightness, _range(table.brightness, whole=0.05))


def sharpness(table: DatasetColumns) -> Histogram:
    """Count images by the logarithm to base 10 of their sharpness, from the least to the greatest decade."""
    logged = np.log10(np.maximum(table.sharpness, 0.1))
    return _by_split(table, logged, _range(logged, whole=1.0))


def coverage(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (GRID, GRID) how many objects cover each cell of the image, rows from its top.

    The number of boxes is summed from their corners, in one pass over objects and one over cells.
    """
    low = np.clip(np.floor(boxes[:, :2] * GRID), 0, GRID - 1).astype(np.int64)
    high = np.maximum(np.clip(np.ceil(boxes[:, 2:] * GRID), 0, GRID).astype(np.int64), low + 1)
    corners = np.zeros((GRID + 1, GRID + 1))
    for x, y, sign in ((low, low, 1), (high, low, -1), (low, high, -1), (high, high, 1)):
        np.add.at(corners, (y[:, 1], x[:, 0]), sign)
    return corners.cumsum(axis=0).cumsum(axis=1)[:GRID, :GRID]


def extents(boxes: NDArray[np.float64], *, octaves: int = 8, steps: int = 4) -> NDArray[np.float64]:
    """Return (n, n) how many objects have each width (column) and height (row, from the top: the highest).

    Both in shares of the image, on a logarithmic scale: `octaves` halvings of the whole image.
    """
    found = boxes[:, 2:] - boxes[:, :2]
    cells = octaves * steps
    place = np.clip(np.floor((np.log2(np.maximum(found, 1e-9)) + octaves) * steps), 0, cells - 1)
    grid = np.zeros((cells, cells))
    np.add.at(grid, (cells - 1 - place[:, 1].astype(np.int64), place[:, 0].astype(np.int64)), 1)
    return grid


def together(table: DatasetColumns, classes: Sequence[int]) -> NDArray[np.int64]:
    """Return (n, n) in how many images two of the n classes are; on the diagonal, in how many each is."""
    present = np.zeros((len(table.splits), len(classes)), np.float32)
    for column, cls in enumerate(classes):
        present[table.images[table.classes == cls], column] = 1
    counts: NDArray[np.int64] = np.rint(present.T @ present).astype(np.int64)
    return counts


def commonest_sizes(table: DatasetColumns, most: int = 6) -> list[tuple[int, int, int]]:
    """Return the commonest image sizes as width, height and count."""
    counts = Counter(map(tuple, table.sizes.tolist()))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(width, height, count) for (width, height), count in ordered[:most]]


def extremes(values: NDArray[np.float64], count: int) -> tuple[list[int], list[int]]:
    """Return the images with the lowest and the highest values, the most extreme first."""
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])]
    count = min(count, len(order) // 2)
    return order[:count].tolist(), order[::-1][:count].tolist()


def _objects(table: DatasetColumns, values: NDArray[np.float64], edges: Sequence[float]) -> Histogram:
    return _counted(table.splits[table.images], values, edges)


def _by_split(table: DatasetColumns, values: NDArray[np.float64], edges: Sequence[float]) -> Histogram:
    return _counted(table.splits, values, edges)


def _counted(splits: NDArray[np.str_], values: NDArray[np.float64], edges: Sequence[float]) -> Histogram:
    known = np.isfinite(values)
    bounds = np.array(edges)
    counts = {
        split: tuple(np.histogram(values[known & (splits == split)], bounds)[0].tolist()) for split in SPLITS
    }
    return Histogram(tuple(edges), counts)


def _range(values: NDArray[np.float64], *, whole: float) -> tuple[float, ...]:
    """Return edges of STEPS steps, from one multiple of `whole` to another, that hold all values."""
    known = values[np.isfinite(values)]
    low = np.floor(known.min(initial=np.inf) / whole) if len(known) else 0.0
    high = max(np.ceil(known.max(initial=-np.inf) / whole), low + 1) if len(known) else 1.0
    return tuple(np.linspace(low * whole, high * whole, STEPS + 1).tolist())
