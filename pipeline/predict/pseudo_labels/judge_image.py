"""Judge an image: its labels, or why it gets none.

An image is labelled as a whole or not at all. A detection that is neither a label nor surely nothing would
become background in the training, which has no regions to ignore. So an image is left out if too many of its
objects of one class are likely to have no label: where there are few labels, one such detection is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections
from pipeline.evaluate.metrics.iou import box_iou
from pipeline.predict.pseudo_labels.thresholds import ClassThreshold

SAME_PLACE: Final = 0.5
"""IoU of boxes from which an uncertain detection is one more reading of an object that has a label."""
LABELLED: Final = "labelled"
UNCERTAIN: Final = "uncertain"
EMPTY: Final = "without an object"


class JudgedImage(NamedTuple):
    """What becomes of an image.

    Attributes:
        outcome: LABELLED, UNCERTAIN or EMPTY.
        kept: (n,) which of its detections become labels; none unless it is labelled.
    """

    outcome: str
    kept: BoolArray


def judge_detections(
    found: Detections, thresholds: Sequence[ClassThreshold], *, recall: float, max_det: int
) -> JudgedImage:
    """Judge an image by the detections in it.

    Args:
        found: All detections, also those of low scores.
        thresholds: By class index.
        recall: Least share of the objects of each class that should have a label.
        max_det: The most detections that the model returns: beyond it there may be more.
    """
    accepted = np.array([np.inf if each.accepted is None else each.accepted for each in thresholds])
    uncertain = np.array([each.uncertain for each in thresholds])
    kept = found.scores >= accepted[found.classes]
    open_ones = ~kept & (found.scores >= uncertain[found.classes])
    overlap = box_iou(found.boxes[open_ones], found.boxes[kept])
    alone = overlap.max(axis=1, initial=0.0) < SAME_PLACE
    missed = _count_missed(found.classes[open_ones][alone], thresholds)
    labels = np.bincount(found.classes[kept], minlength=len(thresholds))
    is_full = len(found.scores) >= max_det and found.scores.min(initial=1.0) >= uncertain.min()
    none = np.zeros(len(kept), np.bool_)
    if is_full or (missed > (1 - recall) * (labels + missed)).any():
        return JudgedImage(UNCERTAIN, none)
    return JudgedImage(LABELLED, kept) if kept.any() else JudgedImage(EMPTY, none)


def _count_missed(classes: IntArray, thresholds: Sequence[ClassThreshold]) -> FloatArray:
    """Return (classes,) how many of the uncertain detections of each class are likely to be objects."""
    doubts = np.array([each.doubt for each in thresholds])
    counts = np.bincount(classes, minlength=len(thresholds))
    return np.asarray(counts * doubts, np.float64)


def judge_class(probabilities: FloatArray, thresholds: Sequence[ClassThreshold]) -> int | None:
    """Return the class of an image that is classified as a whole; None if it is uncertain.

    Args:
        probabilities: (classes,).
        thresholds: By class index.
    """
    cls = int(np.argmax(probabilities))
    accepted = thresholds[cls].accepted
    return cls if accepted is not None and probabilities[cls] >= accepted else None
