"""The result of a drawing function, and operations that all drawing functions share."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.core.arrays import BoolArray, Float32Array, FloatArray, ImageArray, IntArray


def to_float32(values: ArrayLike) -> Float32Array:
    """Convert to a float32 array: images are drawn in single precision."""
    return np.asarray(values, np.float32)


def tight_box(visible: BoolArray) -> Float32Array:
    """Return the box x1 y1 x2 y2 around the pixels of a mask, in pixels."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return to_float32([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def average_blocks(canvas: NDArray[np.uint8], factor: int) -> FloatArray:
    """Shrink a square canvas by averaging blocks of pixels, to 0 to 1; exact on every machine."""
    side = canvas.shape[0] // factor
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64) / 255


class DrawnImage(NamedTuple):
    """One drawn image with its exact labels.

    Attributes:
        image: Blue, green, red; height x width x 3, 0 to 255.
        boxes: One row per object, x1 y1 x2 y2 in pixels, tight around its visible part.
        classes: One class index per object.
        polygons: One outline per object, k x 2 in pixels.
        keypoints: Keypoints of each object, k x 3: x y in pixels and visibility (0 outside the image, 1
            hidden, 2 visible); empty unless the task is pose.
    """

    image: ImageArray
    boxes: Float32Array
    classes: IntArray
    polygons: list[Float32Array]
    keypoints: tuple[Float32Array, ...] = ()
