"""The objects of an image as an annotation file gives them."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.core.arrays import FloatArray, IntArray


class RawObjects(NamedTuple):
    """The objects of one image as they were read.

    Attributes:
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2.
        marks: What each is called in a report, such as `line 3`.
        outlines: For each object the parts of its outline, (k, 2) x and y each, in the unit of the boxes; no
            part where it has none. Empty where no object has any.
        keypoints: For each object (points, 3) x, y in the unit of the boxes, and visibility (0, 1, 2). Empty
            where no object has any.
    """

    classes: IntArray
    boxes: FloatArray
    marks: tuple[str, ...]
    outlines: tuple[tuple[FloatArray, ...], ...] = ()
    keypoints: tuple[FloatArray, ...] = ()
