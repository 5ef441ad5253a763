"""How far two models find the same on the same images, whatever the truth is."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.iou import box_iou, rotated_box_iou

SAME_IOU: Final = 0.9
"""The IoU from which two boxes of one class are the same."""
SCORE_MARGIN: Final = 0.9
"""A box counts from the threshold on; its partner may have a score of this share of it."""


class Agreement(NamedTuple):
    """What two models agree on.

    Attributes:
        same: Boxes with a partner, of both models; of classify images with the same class.
        all: Boxes of both models; of classify images.
    """

    same: int
    all: int

    @property
    def share(self) -> float:
        """0 to 1; 1 where neither model finds anything."""
        return self.same / self.all if self.all else 1.0


def measure_agreement(first: StoredPredictions, second: StoredPredictions, *, threshold: float) -> Agreement:
    """Count what two models find alike on the same images.

    Args:
        first: Of one model.
        second: Of the other one, on the same images in the same order.
        threshold: The score from which a box counts.
    """
    if first.probabilities is not None and second.probabilities is not None:
        same = first.probabilities.argmax(axis=1) == second.probabilities.argmax(axis=1)
        return Agreement(int(same.sum()), len(same))
    rotated = first.task == "obb"
    counts = [
        _count_image(here, there, threshold, rotated=rotated)
        for here, there in zip(first.detections, second.detections, strict=True)
    ]
    return Agreement(sum(same for same, _ in counts), sum(boxes for _, boxes in counts))


def _count_image(
    first: Detections, second: Detections, threshold: float, *, rotated: bool
) -> tuple[int, int]:
    alike = _compute_iou(first, second, rotated=rotated) >= SAME_IOU
    alike &= first.classes[:, None] == second.classes[None, :]
    counted = [found.scores >= threshold for found in (first, second)]
    possible = [found.scores >= threshold * SCORE_MARGIN for found in (first, second)]
    paired_first = alike[counted[0]][:, possible[1]].any(axis=1)
    paired_second = alike[possible[0]][:, counted[1]].any(axis=0)
    return int(paired_first.sum() + paired_second.sum()), int(sum(each.sum() for each in counted))


def _compute_iou(first: Detections, second: Detections, *, rotated: bool) -> FloatArray:
    if not rotated:
        return box_iou(first.boxes, second.boxes)
    here, there = (np.array(found.outlines).reshape(-1, 4, 2) for found in (first, second))
    return rotated_box_iou(here, there)
