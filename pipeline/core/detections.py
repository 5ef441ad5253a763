"""Ground truth and detections of one image."""

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
        """Mask (n,) of the objects that metrics count: of poses, those with at least one labelled point."""
        if self.keypoints is None:
            return np.ones(len(self.classes), bool)
        return np.asarray((self.keypoints[:, :, 2] > 0).any(axis=1))


class Detections(NamedTuple):
    """The detections of a model in one image.

    Attributes:
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        scores: (n,) 0..1.
        classes: (n,) class indices.
        outlines: As in `GroundTruth`; where there are many detections, only those of the first.
        keypoints: (n, points, 2 or 3) x and y in pixels, and confidence (pose); None for other tasks.
        masks: n masks (segment) until their overlap is computed; none for other tasks.
        overlap: (n, objects) similarity of each detection and each true object, 0 to 1; None means the IoU of
            their boxes.
        areas: (n,) pixels that the masks covered, where their overlap has been computed; else None.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    outlines: tuple[NDArray[np.float64], ...] = ()
    keypoints: NDArray[np.float64] | None = None
    masks: tuple[ObjectMask, ...] = ()
    overlap: NDArray[np.float64] | None = None
    areas: NDArray[np.float64] | None = None

    def select(self, kept: NDArray[np.bool_]) -> Detections:
        """Return the detections where the mask (n,) is true."""
        return Detections(
            self.boxes[kept],
            self.scores[kept],
            self.classes[kept],
            tuple(outline for outline, keep in zip(self.outlines, kept, strict=False) if keep),
            None if self.keypoints is None else self.keypoints[kept],
            tuple(mask for mask, keep in zip(self.masks, kept, strict=False) if keep),
            None if self.overlap is None else self.overlap[kept],
            None if self.areas is None else self.areas[kept],
        )
