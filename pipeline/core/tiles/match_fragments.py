"""Find the detections of two overlapping tiles that show the same object.

Each tile shows of an object what lies inside of it. Where both tiles are, both show the same: so detections
are compared there alone, however much of the object lies in one tile only. An object that is larger than the
overlap, and whole in no tile, is found by this, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import shapely

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask
from pipeline.core.tiles.plan_tiles import Tile

MIN_IOU: Final = 0.5
"""Of two views of one object where both tiles are."""
MIN_CONTAINED: Final = 0.75
"""The share of a cut object's view that must lie in the other view, where their IoU is lower: parts of
objects get less exact boxes."""
MIN_CONTAINED_IOU: Final = 0.2
"""Their least IoU."""


class TileDetections(NamedTuple):
    """What was found in one tile.

    Attributes:
        tile: The tile.
        found: Its detections, in pixels of the image.
        reach: (n, 4) their boxes as `snap_to_borders` returns them: parts end at the border that cuts them.
        cut: (n,) which of them end at an inner border of the tile.
    """

    tile: Tile
    found: Detections
    reach: FloatArray
    cut: BoolArray


class SharedViews(NamedTuple):
    """What a region shows of some detections of a tile.

    Attributes:
        places: (n,) their places among the tile's detections.
        boxes: (n, 4) x1 y1 x2 y2, clipped to the region.
        areas: (n,) in square pixels: of the mask or rotated box if there is one, else of the box.
        classes: (n,) class indices.
        scores: (n,) 0..1.
        cut: (n,) as in `TileDetections`.
        shapes: n masks or regions within the region; none where the boxes are all.
    """

    places: IntArray
    boxes: FloatArray
    areas: FloatArray
    classes: IntArray
    scores: FloatArray
    cut: BoolArray
    shapes: Sequence[ObjectMask] | Sequence[shapely.Geometry] = ()


def match_tiles(first: TileDetections, second: TileDetections) -> Iterator[tuple[float, int, int]]:
    """Yield the pairs of detections that show the same object, each detection at most once.

    Yields:
        How well they fit, weighted by their scores (0 to 1), and the places of both.
    """
    shared = first.tile.intersect(second.tile)
    if shared is None:
        return
    here, there = _clip_views(first, shared), _clip_views(second, shared)
    fit = _compare_views(here, there) * here.scores[:, None] * there.scores[None, :]
    rows, columns = np.nonzero(fit > 0)
    order = np.argsort(-fit[rows, columns], kind="stable")
    used: tuple[set[int], set[int]] = (set(), set())
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used[0] and column not in used[1]:
            used[0].add(row)
            used[1].add(column)
            yield float(fit[row, column]), int(here.places[row]), int(there.places[column])


def intersect_boxes(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the area (n, m) that boxes (n, 4) and (m, 4) have in common."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared: FloatArray = np.clip(high - low, 0, None).prod(axis=2)
    return shared


def _clip_views(each: TileDetections, shared: Tile) -> SharedViews:
    found = each.found
    inside = (each.reach[:, :2] < shared[2:]) & (each.reach[:, 2:] > shared[:2])
    places = np.flatnonzero(inside.all(axis=1))
    boxes = np.clip(each.reach[places], shared[:2] * 2, shared[2:] * 2)
    views = SharedViews(
        places,
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
        found.classes[places],
        found.scores[places],
        each.cut[places],
    )
    if found.masks:
        masks = [clip_mask(found.masks[place], shared) for place in places]
        areas = np.array([np.count_nonzero(mask.pixels) for mask in masks], np.float64)
        return views._replace(areas=areas, shapes=masks)
    if len(found.outlines) == len(found.boxes) > 0:  # rotated boxes
        corners = shapely.polygons(np.array(found.outlines)[places])
        regions = shapely.intersection(corners, shapely.box(*shared))
        return views._replace(areas=shapely.area(regions), shapes=list(regions))
    return views


def clip_mask(mask: ObjectMask, region: tuple[int, int, int, int]) -> ObjectMask:
    """Return the part of a mask in a region x1 y1 x2 y2; without pixels if there is none."""
    left, top = max(mask.left, region[0]), max(mask.top, region[1])
    rows = slice(top - mask.top, max(region[3] - mask.top, 0))
    columns = slice(left - mask.left, max(region[2] - mask.left, 0))
    return ObjectMask(left, top, mask.pixels[rows, columns])


def _compare_views(here: SharedViews, there: SharedViews) -> FloatArray:
    """Return the IoU (n, m) of views that show the same object; 0 for others."""
    common = intersect_boxes(here.boxes, there.boxes)
    same = (here.classes[:, None] == there.classes[None, :]) & (common > 0)
    if here.shapes and there.shapes:
        rows, columns = np.nonzero(same)
        common = np.zeros_like(common)
        common[rows, columns] = [
            _intersect_shapes(here.shapes[row], there.shapes[column])
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
    smaller = np.minimum(here.areas[:, None], there.areas[None, :])
    iou = _divide(common, here.areas[:, None] + there.areas[None, :] - common)
    is_first = here.areas[:, None] <= there.areas[None, :]
    cut = np.where(is_first, here.cut[:, None], there.cut[None, :])
    contained = cut & (_divide(common, smaller) >= MIN_CONTAINED) & (iou >= MIN_CONTAINED_IOU)
    return np.where(same & ((iou >= MIN_IOU) | contained), iou, 0.0)


def _intersect_shapes(first: Any, second: Any) -> float:
    if isinstance(first, ObjectMask):
        box = (
            max(first.left, second.left),
            max(first.top, second.top),
            min(first.left + first.pixels.shape[1], second.left + second.pixels.shape[1]),
            min(first.top + first.pixels.shape[0], second.top + second.pixels.shape[0]),
        )
        if box[0] >= box[2] or box[1] >= box[3]:
            return 0.0
        return float(np.count_nonzero(clip_mask(first, box).pixels & clip_mask(second, box).pixels))
    return float(shapely.area(shapely.intersection(first, second)))


def _divide(part: FloatArray, whole: FloatArray) -> FloatArray:
    share: FloatArray = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return share
