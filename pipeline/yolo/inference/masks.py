"""The masks of a segmentation at the image's own size, each computed where its box is and nowhere else.

Ultralytics makes a whole image of each mask: 300 masks of a 12 megapixel photograph are 3.6 GB.
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

SHOWN: Final = 50
"""Of so many detections an image the outlines are kept: enough for any picture, and bounded."""


class MaskPredictor(SegmentationPredictor):  # type: ignore[misc]
    """Ultralytics' own, but for the masks: each result has `cut`, a `Mask` per box."""

    def construct_result(self, pred: Any, img: Any, orig_img: Any, img_path: Any, proto: Any) -> Any:
        """Keep the boxes with a mask, as Ultralytics does."""
        pred[:, :4] = ops.scale_boxes(img.shape[2:], pred[:, :4], orig_img.shape)
        boxes, coefficients = pred[:, :4].cpu().numpy(), pred[:, 6:]
        logits = (coefficients @ proto.float().flatten(1)).view(-1, *proto.shape[1:]).cpu().numpy()
        places = _places(orig_img.shape[:2], tuple(img.shape[2:]), proto.shape[1:])
        cut = [_mask(each, box, places) for each, box in zip(logits, boxes, strict=True)]
        kept = [number for number, mask in enumerate(cut) if mask.pixels.any()]
        result = Results(orig_img, path=img_path, names=self.model.names, boxes=pred[kept, :6])
        result.cut = tuple(cut[number] for number in kept)
        return result


def outlines(masks: Sequence[ObjectMask]) -> tuple[NDArray[np.float64], ...]:
    """Return the outline of the largest piece of each of the first masks, for people to look at."""
    return tuple(_outline(mask) for mask in masks[:SHOWN])


def _outline(mask: ObjectMask) -> NDArray[np.float64]:
    rings, _ = cv2.findContours(mask.pixels.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = cv2.approxPolyDP(max(rings, key=cv2.contourArea), 0.7, True)
    return np.asarray(largest.reshape(-1, 2) + np.array([mask.left + 0.5, mask.top + 0.5]))


def _places(
    size: tuple[int, int], fed: tuple[int, int], cells: Sequence[int]
) -> tuple[Float32Array, Float32Array]:
    """Say where the centres of the image's rows, and of its columns, lie among the cells of the prototypes.

    Args:
        size: Height and width of the image.
        fed: Height and width of what the network saw: the image scaled, and padded on all sides.
        cells: Height and width of the prototypes.
    """
    gain = min(fed[0] / size[0], fed[1] / size[1])
    rows, columns = (
        _along(length, round(length * gain), across, count)
        for length, across, count in zip(size, fed, cells, strict=True)
    )
    return rows, columns


def _along(length: int, scaled: int, fed: int, cells: int) -> Float32Array:
    padding = round((fed - scaled) / 2 - 0.1)  # as LetterBox rounds it
    inside = (np.arange(length) + 0.5) * scaled / length + padding
    return (inside * cells / fed - 0.5).astype(np.float32)


def _mask(logits: Float32Array, box: Float32Array, places: tuple[Float32Array, Float32Array]) -> ObjectMask:
    """Interpolate one mask in its box, and cut it at zero: probability one half."""
    rows, columns = places
    x1, y1, x2, y2 = np.ceil(box).astype(int).tolist()
    down, right = (
        _weights(at, count) for at, count in zip((rows[y1:y2], columns[x1:x2]), logits.shape, strict=True)
    )
    return ObjectMask(x1, y1, down @ logits @ right.T > 0)


def _weights(places: Float32Array, cells: int) -> Float32Array:
    """Return how much each cell counts at each place (n, cells): bilinear interpolation, in one direction."""
    inside = np.clip(places, 0, cells - 1)[:, None]
    return np.asarray(np.maximum(0, 1 - np.abs(inside - np.arange(cells, dtype=np.float32))))
