"""Turn annotations as the EXIF orientation of their image turns it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray

MIRRORED_AXES: Final[Mapping[int, tuple[bool, bool]]] = {
    5: (False, False),
    6: (True, False),
    7: (True, True),
    8: (False, True),
}
"""EXIF orientations that exchange width and height: the axes, x and y, that are mirrored after that."""


def turn_objects(raw: RawObjects, orientation: int, size: tuple[int, int]) -> RawObjects:
    """Convert pixels of the stored image to pixels of the displayed image.

    Args:
        raw: The objects, in pixels of the image as it is stored.
        orientation: The EXIF orientation, one of `MIRRORED_AXES`.
        size: Width and height of the image as it is displayed.
    """
    mirrored = np.array(MIRRORED_AXES[orientation])

    def turn(points: FloatArray) -> FloatArray:
        exchanged = points[:, [1, 0]]
        return np.where(mirrored, np.array(size) - exchanged, exchanged)

    start, end = turn(raw.boxes[:, :2]), turn(raw.boxes[:, 2:])
    boxes = np.concatenate([np.where(mirrored, end, start), np.where(mirrored, start, end)], axis=1)
    return raw._replace(
        boxes=boxes,
        outlines=tuple(tuple(turn(part) for part in parts) for parts in raw.outlines),
        keypoints=tuple(
            np.concatenate([turn(points[:, :2]), points[:, 2:]], axis=1) for points in raw.keypoints
        ),
    )
