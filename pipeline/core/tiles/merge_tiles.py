"""Merge the detections of overlapping tiles into those of the image: each object once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import shapely

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask, count_shared_pixels
from pipeline.core.tiles.join_parts import join_parts, replace_detections, take_detections
from pipeline.core.tiles.match_fragments import (
    MIN_CONTAINED,
    TileDetections,
    intersect_boxes,
    match_tiles,
)
from pipeline.core.tiles.plan_tiles import Tile, iterate_overlapping_pairs, snap_to_borders

CUT_MARGIN_SHARE: Final = 0.01
"""Boxes of objects that a border cuts end within this share of the tile's side from the border."""
MIN_CUT_MARGIN: Final = 2.0
"""Or within this many pixels."""
MIN_WHOLE_SHARE: Final = 0.75
"""A detection that covers less of the box around all parts of its object is a part itself."""


def merge_tile_detections(
    tiles: Sequence[Tile], found: Sequence[Detections], size: tuple[int, int], *, iou: float, max_det: int
) -> Detections:
    """Merge detections of tiles: an object that several tiles show is found once.

    Of an object that is whole in a tile, the best such detection counts. One that every tile cuts is joined
    from its parts. Detections of one tile are never merged with each other: there the model has decided.

    Args:
        tiles: The tiles, in pixels of the image.
        found: The detections of each tile, in its own pixels, by descending score.
        size: Width and height of the image.
        iou: Of two merged objects of one class whose IoU is higher, the better one is kept, as in a tile.
        max_det: The most detections of the image.

    Returns:
        The detections in pixels of the image, by descending score.
    """
    shifted = [_shift(each, tile) for each, tile in zip(found, tiles, strict=True)]
    if len(shifted) == 1:
        return shifted[0]
    views = [
        TileDetections(tile, each, *snap_to_borders(each.boxes, tile, size, _choose_margin(tile)))
        for tile, each in zip(tiles, shifted, strict=True)
    ]
    flat = FlatDetections(
        _concatenate(shifted),
        np.repeat(np.arange(len(views)), [len(each.cut) for each in views]),
        np.concatenate([each.cut for each in views]),
    )
    groups = _group_detections(views)
    best = np.array([_choose_member(flat, group) for group in groups], np.int64)
    merged = _merge_groups(flat, groups, best, tiles)
    shown = ShownObjects(
        merged,
        [frozenset(flat.tile[group].tolist()) for group in groups],
        np.array([len(group) == 1 and flat.cut[group[0]] for group in groups], bool),
    )
    return take_detections(merged, _suppress_doubles(shown, iou=iou, max_det=max_det))


class FlatDetections(NamedTuple):
    """The detections of all tiles, one after the other.

    Attributes:
        found: The detections (n), in pixels of the image.
        tile: (n,) index of the tile of each.
        cut: (n,) as in `TileDetections`.
    """

    found: Detections
    tile: IntArray
    cut: BoolArray


class ShownObjects(NamedTuple):
    """The merged detections.

    Attributes:
        found: The detections (n).
        tiles: The indices of the tiles that show each.
        part: (n,) whether it is a part that was matched with nothing.
    """

    found: Detections
    tiles: Sequence[frozenset[int]]
    part: BoolArray


def _choose_margin(tile: Tile) -> float:
    return max(MIN_CUT_MARGIN, CUT_MARGIN_SHARE * max(tile.right - tile.left, tile.bottom - tile.top))


def _shift(found: Detections, tile: Tile) -> Detections:
    """Move detections from the pixels of a tile to those of the image."""
    left, top = tile.left, tile.top
    move = np.array([left, top], np.float64)
    points = None
    if found.keypoints is not None:
        points = found.keypoints.copy()
        points[..., :2] += move
    return found._replace(
        boxes=found.boxes + np.tile(move, 2),
        outlines=tuple(outline + move for outline in found.outlines),
        keypoints=points,
        masks=tuple(ObjectMask(mask.left + left, mask.top + top, mask.pixels) for mask in found.masks),
    )


def _concatenate(parts: Sequence[Detections]) -> Detections:
    """Join detections; of masks the outlines are left out, since not all have one."""
    masks = tuple(mask for part in parts for mask in part.masks)
    points = [part.keypoints for part in parts if part.keypoints is not None]
    return Detections(
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.classes for part in parts]),
        () if masks else tuple(outline for part in parts for outline in part.outlines),
        np.concatenate(points) if points else None,
        masks,
    )


def _group_detections(views: Sequence[TileDetections]) -> list[list[int]]:
    """Group the detections that show the same object: best fits first, one detection of a tile each.

    Returns:
        For each object the places of its detections, counted over all tiles.
    """
    starts = np.cumsum([0, *(len(each.cut) for each in views)]).tolist()
    tiles = np.repeat(np.arange(len(views)), np.diff(starts)).tolist()
    pairs = [
        (fit, starts[one] + here, starts[other] + there)
        for one, other in iterate_overlapping_pairs([view.tile for view in views])
        for fit, here, there in match_tiles(views[one], views[other])
    ]
    groups = [[place] for place in range(starts[-1])]
    for _, here, there in sorted(pairs, key=lambda pair: -pair[0]):
        first, second = groups[here], groups[there]
        apart = {tiles[place] for place in first}.isdisjoint(tiles[place] for place in second)
        if first is not second and apart:
            first.extend(second)
            for place in second:
                groups[place] = first
    return [group for place, group in enumerate(groups) if group[0] == place]


def _choose_member(flat: FlatDetections, group: Sequence[int]) -> int:
    """Return the place of the best detection of a group: of those that are whole, if any is."""
    whole = [place for place in group if not flat.cut[place]]
    return max(whole or group, key=lambda place: float(flat.found.scores[place]))


def _merge_groups(
    flat: FlatDetections, groups: Sequence[Sequence[int]], best: IntArray, tiles: Sequence[Tile]
) -> Detections:
    """Return the chosen detections, each with the best score of its group; joined if it is only a part."""
    chosen = take_detections(flat.found, best)
    scores = np.array([flat.found.scores[group].max() for group in groups], np.float64)
    joined = {}
    for index, group in enumerate(groups):
        if len(group) > 1:
            parts = take_detections(flat.found, np.array(group))
            whole = join_parts(parts, [tiles[flat.tile[each]] for each in group])
            share = _measure_box(chosen.boxes[index]) / max(_measure_box(whole.boxes[0]), 1e-9)
            if flat.cut[group].all() or share < MIN_WHOLE_SHARE:
                joined[index] = whole
    return replace_detections(chosen, joined)._replace(scores=scores)


def _measure_box(box: FloatArray) -> float:
    return float((box[2:] - box[:2]).prod())


def _suppress_doubles(shown: ShownObjects, *, iou: float, max_det: int) -> IntArray:
    """Return the places of the detections to keep, by descending score.

    Two of one tile are never compared: there the model has decided. A part that was matched with nothing, but
    lies in a better detection, is left out too.
    """
    boxes, classes = shown.found.boxes, shown.found.classes
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    left = np.argsort(-shown.found.scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < max_det:
        first, left = int(left[0]), left[1:]
        kept.append(first)
        common = intersect_boxes(boxes[[first]], boxes[left])[0]
        near = common > iou * (areas[first] + areas[left] - common)
        near |= shown.part[left] & (common >= MIN_CONTAINED * areas[left])
        doubles = [
            row
            for row in np.flatnonzero(near & (classes[left] == classes[first])).tolist()
            if shown.tiles[left[row]].isdisjoint(shown.tiles[first])
            and _is_same_shape(shown.found, first, int(left[row]), iou)
        ]
        left = np.delete(left, doubles)
    return np.array(kept, np.int64)


def _is_same_shape(found: Detections, first: int, second: int, iou: float) -> bool:
    """Check that two masks or rotated boxes overlap as much as their boxes do; True for other shapes."""
    if found.masks:
        masks = [found.masks[place] for place in (first, second)]
        common = float(count_shared_pixels(masks[:1], masks[1:])[0, 0])
        areas = [float(mask.pixels.sum()) for mask in masks]
    elif found.outlines:
        shapes = [shapely.Polygon(found.outlines[place]) for place in (first, second)]
        common, areas = shapes[0].intersection(shapes[1]).area, [shape.area for shape in shapes]
    else:
        return True
    return common >= MIN_CONTAINED * areas[1] or common > iou * (sum(areas) - common)
