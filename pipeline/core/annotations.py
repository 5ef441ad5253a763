"""The objects of an image as an annotation file describes them, before any check."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.core.arrays import FloatArray, IntArray


class RawObjects(NamedTuple):
    """The unchecked objects of one image.

    Attributes:
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2.
        marks: The name of each object in reports, such as `line 3`.
        outlines: For each object the parts of its outline, each (k, 2) x and y in the unit of the boxes; no
            parts for an object without an outline. Empty if no object has one.
        keypoints: For each object (points, 3) x, y in the unit of the boxes, and visibility (0, 1, 2).
            Empty if no object has any.
    """

    classes: IntArray
    boxes: FloatArray
    marks: tuple[str, ...]
    outlines: tuple[tuple[FloatArray, ...], ...] = ()
    keypoints: tuple[FloatArray, ...] = ()
