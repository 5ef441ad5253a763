"""Which detection found which object: COCO's greedy matching, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.iou import box_iou

IOUS: Final = np.linspace(0.5, 0.95, 10)
"""The overlaps that COCO averages over: 0.50, 0.55 ... 0.95."""


@dataclass(frozen=True)
class DetectionTable:
    """All detections of a split, by descending score, each with what it hit.

    Args:
        images: (d,) index of the image it lies in.
        classes: (d,) its class.
        scores: (d,) its score, descending.
        hits: (d, 10) whether it found an object, at each of `IOUS`.
        void: (d, 10) whether it found one that does not count: it is then neither right nor wrong.
        objects: (images, classes) how many true objects there are that count.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    void: NDArray[np.bool_]
    objects: NDArray[np.int64]


def likeness(truth: GroundTruth, found: Detections) -> NDArray[np.float64]:
    """Return how much each detection is like each object (n, m), by what their task is measured by."""
    return box_iou(found.boxes, truth.boxes) if found.overlap is None else found.overlap


def match(truth: GroundTruth, found: Detections) -> NDArray[np.int64]:
    """Return (detections, 10): the index of the object each detection found at each of `IOUS`, or -1.

    The rule is COCO's (cocoeval.py, evaluateImg): by descending score, each detection takes the object of its
    class that overlaps it most and is still free; of equal overlaps the last. Objects that do not count are
    taken only where no other is left.
    """
    same = found.classes[:, None] == truth.classes[None, :]
    overlap = np.where(same, likeness(truth, found), 0.0)
    counted = truth.counted
    taken = np.zeros((len(IOUS), len(truth.classes)), bool)
    matched = np.full((len(found.scores), len(IOUS)), -1, np.int64)
    near = overlap.max(axis=1, initial=0.0) >= IOUS[0]  # the others hit nothing at any overlap
    for row in np.argsort(-found.scores, kind="stable"):
        if near[row]:
            matched[row] = _take(np.where(taken | ~counted, 0.0, overlap[row]), taken)
            if not counted.all():
                late = _take(np.where(taken | counted, 0.0, overlap[row]), taken, matched[row] < 0)
                matched[row] = np.maximum(matched[row], late)
    return matched


def tabulate(truths: Sequence[GroundTruth], found: Sequence[Detections], classes: int) -> DetectionTable:
    """Match every image of a split and put all detections in one table.

    Args:
        truths: The objects of each image.
        found: The detections of each image, in the same order.
        classes: How many classes the dataset has.
    """
    pairs = [_found(truth, seen) for truth, seen in zip(truths, found, strict=True)]
    scores = np.concatenate([np.zeros(0), *(seen.scores for seen in found)])
    order = np.argsort(-scores, kind="stable")
    lengths = [len(seen.scores) for seen in found]
    none = np.zeros((0, len(IOUS)), bool)
    return DetectionTable(
        images=np.repeat(np.arange(len(found)), lengths)[order],
        classes=np.concatenate([np.zeros(0, np.int64), *(seen.classes for seen in found)])[order],
        scores=scores[order],
        hits=np.concatenate([none, *(hits for hits, _ in pairs)])[order],
        void=np.concatenate([none, *(void for _, void in pairs)])[order],
        objects=np.array([np.bincount(t.classes[t.counted], minlength=classes) for t in truths]).reshape(
            -1, classes
        ),
    )


def _found(truth: GroundTruth, seen: Detections) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which detections (d, 10) found an object that counts, and which one that does not."""
    matched = match(truth, seen)
    counts = np.append(truth.counted, False)[matched]
    return counts, (matched >= 0) & ~counts


def _take(
    overlap: NDArray[np.float64], taken: NDArray[np.bool_], wanted: NDArray[np.bool_] | bool = True
) -> NDArray[np.int64]:
    """Choose the best free object at each wanted IoU, (10,) or -1, and mark it in `taken` (10, objects)."""
    best = overlap.shape[1] - 1 - overlap[:, ::-1].argmax(axis=1)
    levels = np.arange(len(IOUS))
    enough = (overlap[levels, best] >= IOUS) & wanted
    taken[levels[enough], best[enough]] = True
    return np.where(enough, best, -1)
