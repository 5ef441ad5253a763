"""Join the parts of an object that the borders of tiles cut, and pick detections by their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import shapely

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask
from pipeline.core.tiles.plan_tiles import Tile

BORDER_PIXELS: Final = 1.0
"""Points of a pose that are this near to a tile's border are taken for guesses of what lies beyond."""


def take_detections(found: Detections, places: IntArray) -> Detections:
    """Return the detections at these places, in this order; without their overlap with true objects."""
    return Detections(
        found.boxes[places],
        found.scores[places],
        found.classes[places],
        tuple(found.outlines[place] for place in places.tolist()) if found.outlines else (),
        None if found.keypoints is None else found.keypoints[places],
        tuple(found.masks[place] for place in places.tolist()) if found.masks else (),
    )


def replace_detections(found: Detections, others: Mapping[int, Detections]) -> Detections:
    """Return the detections with others at some places, each of which is a single one."""
    boxes, keypoints = found.boxes.copy(), None if found.keypoints is None else found.keypoints.copy()
    outlines, masks = list(found.outlines), list(found.masks)
    for place, other in others.items():
        boxes[place] = other.boxes[0]
        if keypoints is not None and other.keypoints is not None:
            keypoints[place] = other.keypoints[0]
        if outlines:
            outlines[place] = other.outlines[0]
        if masks:
            masks[place] = other.masks[0]
    return found._replace(boxes=boxes, keypoints=keypoints, outlines=tuple(outlines), masks=tuple(masks))


def join_parts(parts: Detections, tiles: Sequence[Tile]) -> Detections:
    """Return one detection, of the object whose parts some tiles show.

    Its box is around all parts. A mask is the union of theirs; a rotated box is the smallest around theirs;
    a point of a pose is that of the tile which shows it, the one with the highest confidence.

    Args:
        parts: (n) in pixels of the image.
        tiles: The tile of each.
    """
    low, high = parts.boxes[:, :2].min(axis=0), parts.boxes[:, 2:].max(axis=0)
    whole = Detections(np.concatenate([low, high])[None], parts.scores.max(keepdims=True), parts.classes[:1])
    if parts.masks:
        return whole._replace(masks=(join_masks(parts.masks),))
    if parts.outlines:
        corners = enclose_rotated_boxes(parts.outlines)
        box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        return whole._replace(boxes=box[None], outlines=(corners,))
    if parts.keypoints is not None:
        return whole._replace(keypoints=_choose_points(parts.keypoints, parts.scores, tiles)[None])
    return whole


def join_masks(masks: Sequence[ObjectMask]) -> ObjectMask:
    """Return the pixels that any of the masks covers."""
    left, top = min(mask.left for mask in masks), min(mask.top for mask in masks)
    right = max(mask.left + mask.pixels.shape[1] for mask in masks)
    bottom = max(mask.top + mask.pixels.shape[0] for mask in masks)
    pixels = np.zeros((bottom - top, right - left), bool)
    for mask in masks:
        height, width = mask.pixels.shape
        pixels[mask.top - top :, mask.left - left :][:height, :width] |= mask.pixels
    return ObjectMask(left, top, pixels)


def enclose_rotated_boxes(boxes: Sequence[FloatArray]) -> FloatArray:
    """Return the corners (4, 2) of the smallest rotated box around others (4, 2)."""
    around = shapely.minimum_rotated_rectangle(shapely.MultiPoint(np.concatenate(boxes)))
    if around.geom_type != "Polygon":  # all on one line
        return boxes[0]
    return np.array(around.exterior.coords[:4])


def _choose_points(points: FloatArray, scores: FloatArray, tiles: Sequence[Tile]) -> FloatArray:
    """Return for each point (points, 2 or 3) the one of the tile that shows it best."""
    borders = np.array(tiles, np.float64)[:, None]
    low, high = borders[..., :2] + BORDER_PIXELS, borders[..., 2:] - BORDER_PIXELS
    inside = ((points[..., :2] >= low) & (points[..., :2] <= high)).all(axis=2)
    confidence = points[..., 2] if points.shape[2] > 2 else np.ones(points.shape[:2])
    best = (inside + confidence * scores[:, None]).argmax(axis=0)  # a point inside comes before all others
    chosen: FloatArray = points[best, np.arange(points.shape[1])]
    return chosen
