"""Counts for the charts of the report: histograms, heat maps, co-occurrence, extreme images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.paths import SPLITS
from pipeline.prepare.report.statistics import DatasetColumns

DEFAULT_IMGSZ: Final = 640
"""Ultralytics' default length of an image's longer side in training."""

REPORTED_IMGSZ: Final = (256, 320, DEFAULT_IMGSZ, 1280)
"""Values of imgsz that are reported: the report is written before one is chosen, for several trainings."""

SIZE_EDGES: Final = (0, 4, 8, 16, 32, 64, 128, 256, 512)
"""Edges of size bins, in pixels of an object's shorter side at DEFAULT_IMGSZ."""

TINY_PIXELS: Final = 8
"""Pixels: the finest stride of YOLO's heads; a smaller object is in less than one cell."""

HEAT_MAP_CELLS: Final = 48
"""Rows and columns of a heat map."""

HISTOGRAM_BINS: Final = 24
"""Bins of the histograms of brightness and sharpness."""


class Histogram(NamedTuple):
    """Counts in bins.

    Attributes:
        edges: (n + 1) edges of the bins, ascending.
        counts: n counts of each series, such as a split.
    """

    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]


def count_objects_per_image(table: DatasetColumns, *, most: int = 24) -> Histogram:
    """Count images by their number of objects, 1 or more, in up to `most` bins of an integer width."""
    objects = table.objects_per_image
    largest = int(objects.max(initial=1))
    step = -(-largest // most)
    edges = tuple(float(edge) for edge in range(1, largest + step + 1, step))
    return _count_by_image(table, np.where(objects > 0, objects, np.nan), edges)


def measure_shorter_sides(table: DatasetColumns, imgsz: int = DEFAULT_IMGSZ) -> NDArray[np.float64]:
    """Return each object's shorter side, of rotated boxes their own, in pixels of its image at `imgsz`."""
    longest = table.sizes.max(axis=1)[table.image_index]
    sides: NDArray[np.float64] = np.round(table.sides.min(axis=1) * imgsz / longest, 3)
    return sides  # rounded, because shares of an image give 8 pixels as 7.999999


def count_object_sizes(table: DatasetColumns) -> Histogram:
    """Count objects by their shorter side in pixels at DEFAULT_IMGSZ."""
    edges = (*map(float, SIZE_EDGES), float("inf"))
    return _count_by_object(table, measure_shorter_sides(table), edges)


def compute_tiny_shares(table: DatasetColumns, sizes: Sequence[int] = REPORTED_IMGSZ) -> dict[int, float]:
    """Return the share of objects whose shorter side is under TINY_PIXELS, for each imgsz."""
    return {
        imgsz: float((measure_shorter_sides(table, imgsz) < TINY_PIXELS).mean())
        if len(table.classes)
        else 0.0
        for imgsz in sizes
    }


def count_aspect_ratios(table: DatasetColumns) -> Histogram:
    """Count objects by the logarithm to base 2 of width over height, in steps of one half, 1:16 to 16:1."""
    edges = tuple(np.linspace(-4.25, 4.25, 18).tolist())
    return _count_by_object(table, np.clip(np.log2(table.aspects), -4, 4), edges)


def count_brightness(table: DatasetColumns) -> Histogram:
    """Count images by the mean of their gray values; the range is in whole twentieths."""
    return _count_by_image(table, table.brightness, _build_edges(table.brightness, unit=0.05))


def count_sharpness(table: DatasetColumns) -> Histogram:
    """Count images by the logarithm to base 10 of their sharpness; the range is in whole decades."""
    logged = np.log10(np.maximum(table.sharpness, 0.1))
    return _count_by_image(table, logged, _build_edges(logged, unit=1.0))


def count_cell_coverage(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the objects over each of HEAT_MAP_CELLS x HEAT_MAP_CELLS cells of the image, rows from the top.

    The counts are cumulative sums over the corners of boxes: one pass over objects and one over cells.
    """
    low = np.clip(np.floor(boxes[:, :2] * HEAT_MAP_CELLS), 0, HEAT_MAP_CELLS - 1).astype(np.int64)
    high = np.maximum(
        np.clip(np.ceil(boxes[:, 2:] * HEAT_MAP_CELLS), 0, HEAT_MAP_CELLS).astype(np.int64), low + 1
    )
    corners = np.zeros((HEAT_MAP_CELLS + 1, HEAT_MAP_CELLS + 1))
    for x, y, sign in ((low, low, 1), (high, low, -1), (low, high, -1), (high, high, 1)):
        np.add.at(corners, (y[:, 1], x[:, 0]), sign)
    return corners.cumsum(axis=0).cumsum(axis=1)[:HEAT_MAP_CELLS, :HEAT_MAP_CELLS]


def count_box_extents(boxes: NDArray[np.float64], *, octaves: int = 8, steps: int = 4) -> NDArray[np.float64]:
    """Count objects by width (column) and height (row, the largest at the top), (n, n).

    Both are shares of the image on a logarithmic scale: `octaves` halvings of the whole image.
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    cells = octaves * steps
    cell = np.clip(np.floor((np.log2(np.maximum(sides, 1e-9)) + octaves) * steps), 0, cells - 1)
    grid = np.zeros((cells, cells))
    np.add.at(grid, (cells - 1 - cell[:, 1].astype(np.int64), cell[:, 0].astype(np.int64)), 1)
    return grid


def count_co_occurrence(table: DatasetColumns, classes: Sequence[int]) -> NDArray[np.int64]:
    """Count the images with both of two classes, (n, n); on the diagonal, the images with the class."""
    present = np.zeros((len(table.splits), len(classes)), np.float32)
    for column, cls in enumerate(classes):
        present[table.image_index[table.classes == cls], column] = 1
    counts: NDArray[np.int64] = np.rint(present.T @ present).astype(np.int64)
    return counts


def count_image_sizes(table: DatasetColumns, most: int = 6) -> list[tuple[int, int, int]]:
    """Return the most frequent image sizes as width, height and count."""
    counts = Counter(map(tuple, table.sizes.tolist()))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(width, height, count) for (width, height), count in ordered[:most]]


def find_extreme_images(values: NDArray[np.float64], count: int) -> tuple[list[int], list[int]]:
    """Return the indices of images with the lowest and the highest values, the most extreme first."""
    order = np.argsort(values, kind="stable")
    order = order[np.isfinite(values[order])]
    count = min(count, len(order) // 2)
    return order[:count].tolist(), order[::-1][:count].tolist()


def _count_by_object(table: DatasetColumns, values: NDArray[np.float64], edges: Sequence[float]) -> Histogram:
    return _count_in_bins(table.splits[table.image_index], values, edges)


def _count_by_image(table: DatasetColumns, values: NDArray[np.float64], edges: Sequence[float]) -> Histogram:
    return _count_in_bins(table.splits, values, edges)


def _count_in_bins(
    splits: NDArray[np.str_], values: NDArray[np.float64], edges: Sequence[float]
) -> Histogram:
    is_finite = np.isfinite(values)
    bounds = np.array(edges)
    counts = {
        split: tuple(np.histogram(values[is_finite & (splits == split)], bounds)[0].tolist())
        for split in SPLITS
    }
    return Histogram(tuple(edges), counts)


def _build_edges(values: NDArray[np.float64], *, unit: float) -> tuple[float, ...]:
    """Return the edges of HISTOGRAM_BINS bins over all values, from one multiple of `unit` to another."""
    finite = values[np.isfinite(values)]
    low = np.floor(finite.min(initial=np.inf) / unit) if len(finite) else 0.0
    high = max(np.ceil(finite.max(initial=-np.inf) / unit), low + 1) if len(finite) else 1.0
    return tuple(np.linspace(low * unit, high * unit, HISTOGRAM_BINS + 1).tolist())
