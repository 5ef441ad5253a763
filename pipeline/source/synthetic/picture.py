"""What a drawing function returns: one picture and the truth about it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pipeline.core.arrays import Float32Array, ImageArray, IntArray


def floats(values: ArrayLike) -> Float32Array:
    """Return an array of single precision, in which everything here is drawn."""
    return np.asarray(values, np.float32)


class DrawnImage(NamedTuple):
    """One drawn picture with its exact labels.

    Attributes:
        image: Blue, green, red; height x width x 3, 0 to 255.
        boxes: One row per object, x1 y1 x2 y2 in pixels, tight around what is visible of it.
        classes: One class index per object.
        polygons: One outline per object, k x 2 in pixels.
        keypoints: The points of each object, x y in pixels and visibility (0 not in the picture, 1 hidden,
            2 visible); none where there is no pose.
    """

    image: ImageArray
    boxes: Float32Array
    classes: IntArray
    polygons: list[Float32Array]
    keypoints: tuple[Float32Array, ...] = ()
