"""The objects of an image as an annotation file gives them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


Indices = NDArray[np.int64]


class Raw(NamedTuple):
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

    classes: Indices
    boxes: Boxes
    marks: tuple[str, ...]
    outlines: tuple[tuple[Boxes, ...], ...] = ()
    keypoints: tuple[Boxes, ...] = ()
