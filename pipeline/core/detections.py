"""True objects and detections of one image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.geometry.masks import ObjectMask


class GroundTruth(NamedTuple):
    """The true objects of one image.

    Attributes:
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        classes: (n,) class indices.
        outlines: n outlines (k, 2) in pixels (segment), or four corners each (obb); none for other tasks.
        keypoints: (n, points, 3) x and y in pixels, and visibility (pose); None for other tasks.
    """

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    outlines: tuple[NDArray[np.float64], ...] = ()
    keypoints: NDArray[np.float64] | None = None

    @property
    def counted(self) -> NDArray[np.bool_]:
        """Which objects (n,) are to be found: of poses, those with a labelled point."""
        if self.keypoints is None:
            return np.ones(len(self.classes), bool)
        return np.asarray((self.keypoints[:, :, 2] > 0).any(axis=1))


class Detections(NamedTuple):
    """What a model found in one image.

    Attributes:
        boxes: (n, 4) as in `Objects`.
        scores: (n,) 0..1.
        classes: (n,) class indices.
        outlines: As in `Objects`; of the first detections only, where there are many.
        keypoints: (n, points, 2 or 3) x and y in pixels, and confidence (pose); None for other tasks.
        masks: n masks (segment) until they were held against the objects; none for other tasks.
        overlap: (n, objects) how much each is like each true object of its image, 0 to 1; None where that is
            the IoU of their boxes.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    outlines: tuple[NDArray[np.float64], ...] = ()
    keypoints: NDArray[np.float64] | None = None
    masks: tuple[ObjectMask, ...] = ()
    overlap: NDArray[np.float64] | None = None

    def only(self, kept: NDArray[np.bool_]) -> Detections:
        """Return those that are marked (n,)."""
        return Detections(
            self.boxes[kept],
            self.scores[kept],
            self.classes[kept],
            tuple(outline for outline, keep in zip(self.outlines, kept, strict=False) if keep),
            None if self.keypoints is None else self.keypoints[kept],
            tuple(mask for mask, keep in zip(self.masks, kept, strict=False) if keep),
            None if self.overlap is None else self.overlap[kept],
        )
