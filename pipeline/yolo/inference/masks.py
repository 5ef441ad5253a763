"""Segmentation masks at the image's own size, each computed only inside its box.

Ultralytics computes each mask for the whole image: 300 masks of a 12 megapixel photograph are 3.6 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics.engine.results import Results
from ultralytics.models.yolo.segment import SegmentationPredictor
from ultralytics.utils import ops

from pipeline.core.arrays import Float32Array
from pipeline.core.geometry.masks import ObjectMask
from pipeline.dataset.geometry.pixel_edges import trace_pixel_edges

MAX_OUTLINES: Final = 50
"""Outlines that are kept per image: enough for any picture."""
_MAX_STAIR: Final = 1.0
"""Pixels that a smoothed outline may leave the edges of the pixels: stairs of one pixel have less."""
_MIN_THICKNESS: Final = 8.0
"""Pixels from side to side, on average, of a piece that is smoothed."""


class MaskPredictor(SegmentationPredictor):  # type: ignore[misc]
    """Ultralytics' predictor with other masks: each result has `object_masks`, one `ObjectMask` per box."""

    def construct_result(self, pred: Any, img: Any, orig_img: Any, img_path: Any, proto: Any) -> Any:
        """Build the result of one image. Keeps only boxes with a mask, as Ultralytics does."""
        pred[:, :4] = ops.scale_boxes(img.shape[2:], pred[:, :4], orig_img.shape)
        boxes, coefficients = pred[:, :4].cpu().numpy(), pred[:, 6:]
        logits = (coefficients @ proto.float().flatten(1)).view(-1, *proto.shape[1:]).cpu().numpy()
        positions = _prototype_positions(orig_img.shape[:2], tuple(img.shape[2:]), proto.shape[1:])
        masks = [_interpolate_mask(each, box, positions) for each, box in zip(logits, boxes, strict=True)]
        kept = [index for index, mask in enumerate(masks) if mask.pixels.any()]
        result = Results(orig_img, path=img_path, names=self.model.names, boxes=pred[kept, :6])
        result.object_masks = tuple(masks[index] for index in kept)
        return result


def trace_outlines(masks: Sequence[ObjectMask]) -> tuple[NDArray[np.float64], ...]:
    """Trace the outline of the largest piece of each of the first masks, for pictures."""
    return tuple(trace_outline(mask) for mask in masks[:MAX_OUTLINES])


def trace_outline(mask: ObjectMask) -> NDArray[np.float64]:
    """Trace the outline (k, 2) of the largest piece of a mask along the edges of its pixels.

    The stairs of slanting sides are smoothed, but not of thin pieces, of which little would be left.

    Args:
        mask: With at least one pixel.

    Returns:
        At least three points, x and y in pixels of the image: one pixel has its four corners.
    """
    rings, _ = trace_pixel_edges(mask.pixels.astype(np.uint8), cv2.RETR_EXTERNAL)
    ring = max(rings, key=cv2.contourArea)
    if 2 * cv2.contourArea(ring) >= _MIN_THICKNESS * cv2.arcLength(ring, True):
        ring = cv2.approxPolyDP(ring, _MAX_STAIR, True)[:, 0].astype(np.int32)
    return np.asarray(ring + np.array([mask.left, mask.top], np.float64))


def _prototype_positions(
    size: tuple[int, int], fed: tuple[int, int], cells: Sequence[int]
) -> tuple[Float32Array, Float32Array]:
    """Map the centers of the image's rows and columns to positions on the grid of the mask prototypes.

    Args:
        size: Height and width of the image.
        fed: Height and width of the network's input: the image scaled, and padded on all sides.
        cells: Height and width of the prototypes.
    """
    gain = min(fed[0] / size[0], fed[1] / size[1])
    rows, columns = (
        _positions_along(length, round(length * gain), fed_length, count)
        for length, fed_length, count in zip(size, fed, cells, strict=True)
    )
    return rows, columns


def _positions_along(length: int, scaled: int, fed: int, cells: int) -> Float32Array:
    padding = round((fed - scaled) / 2 - 0.1)  # as LetterBox rounds it
    inside = (np.arange(length) + 0.5) * scaled / length + padding
    return (inside * cells / fed - 0.5).astype(np.float32)


def _interpolate_mask(
    logits: Float32Array, box: Float32Array, positions: tuple[Float32Array, Float32Array]
) -> ObjectMask:
    """Interpolate one mask in its box, and threshold it at zero, which is probability one half."""
    rows, columns = positions
    x1, y1, x2, y2 = np.ceil(box).astype(int).tolist()
    down, right = (
        _bilinear_weights(at, count)
        for at, count in zip((rows[y1:y2], columns[x1:x2]), logits.shape, strict=True)
    )
    return ObjectMask(x1, y1, down @ logits @ right.T > 0)


def _bilinear_weights(positions: Float32Array, cells: int) -> Float32Array:
    """Return the weight of each cell at each position (n, cells): linear interpolation in one direction."""
    inside = np.clip(positions, 0, cells - 1)[:, None]
    return np.asarray(np.maximum(0, 1 - np.abs(inside - np.arange(cells, dtype=np.float32))))
