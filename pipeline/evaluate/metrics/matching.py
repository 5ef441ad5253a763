"""COCO's greedy matching of detections and objects, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.iou import box_iou

IOU_THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
"""The overlaps that COCO averages over: 0.50, 0.55 ... 0.95."""


@dataclass(frozen=True)
class DetectionTable:
    """All detections of a split by descending score, and what each of them matched.

    Args:
        images: (d,) index of the image.
        classes: (d,) class of the detection.
        scores: (d,) its score, descending.
        hits: (d, 10) whether it matched an object, at each of `IOU_THRESHOLDS`.
        ignored: (d, 10) whether it matched an object that does not count: it is then neither right nor wrong.
        objects: (images, classes) number of true objects that count.
    """

    images: IntArray
    classes: IntArray
    scores: FloatArray
    hits: BoolArray
    ignored: BoolArray
    objects: IntArray

    def select_images(self, chosen: BoolArray) -> DetectionTable:
        """Return the table of the images where the mask (images,) is true, numbered anew."""
        rows = chosen[self.images]
        return DetectionTable(
            (np.cumsum(chosen) - 1)[self.images[rows]],
            self.classes[rows],
            self.scores[rows],
            self.hits[rows],
            self.ignored[rows],
            self.objects[chosen],
        )


def get_similarity(truth: GroundTruth, found: Detections) -> FloatArray:
    """Return the similarity (n, m) of detections and objects by the measure of their task."""
    return box_iou(found.boxes, truth.boxes) if found.overlap is None else found.overlap


def match_detections(truth: GroundTruth, found: Detections, counted: BoolArray | None = None) -> IntArray:
    """Match detections to objects of their class.

    The rule is COCO's (cocoeval.py, evaluateImg): by descending score, each detection takes the object of its
    class that overlaps it most and is still free; of equal overlaps the last. It takes an object that does
    not count only where no other is left.

    Args:
        truth: The objects of the image.
        found: The detections in it.
        counted: (n,) which objects count; by default those of `GroundTruth.counted`.

    Returns:
        (detections, 10): the index of the object of each detection at each of `IOU_THRESHOLDS`, or -1.
    """
    same = found.classes[:, None] == truth.classes[None, :]
    overlap = np.where(same, get_similarity(truth, found), 0.0)
    counted = truth.counted if counted is None else counted
    taken = np.zeros((len(IOU_THRESHOLDS), len(truth.classes)), bool)
    matched = np.full((len(found.scores), len(IOU_THRESHOLDS)), -1, np.int64)
    near = overlap.max(axis=1, initial=0.0) >= IOU_THRESHOLDS[0]  # the others match nothing at any IoU
    for row in np.argsort(-found.scores, kind="stable"):
        if near[row]:
            matched[row] = _assign_object(np.where(taken | ~counted, 0.0, overlap[row]), taken)
            if not counted.all():
                rest = _assign_object(np.where(taken | counted, 0.0, overlap[row]), taken, matched[row] < 0)
                matched[row] = np.maximum(matched[row], rest)
    return matched


def build_detection_table(
    truths: Sequence[GroundTruth], detections: Sequence[Detections], classes: int
) -> DetectionTable:
    """Match every image of a split and put all detections in one table.

    Args:
        truths: The objects of each image.
        detections: The detections of each image, in the same order.
        classes: Number of classes of the dataset.
    """
    pairs = [_find_hits(truth, found) for truth, found in zip(truths, detections, strict=True)]
    scores = np.concatenate([np.zeros(0), *(found.scores for found in detections)])
    order = np.argsort(-scores, kind="stable")
    lengths = [len(found.scores) for found in detections]
    none = np.zeros((0, len(IOU_THRESHOLDS)), bool)
    counts = [np.bincount(truth.classes[truth.counted], minlength=classes) for truth in truths]
    return DetectionTable(
        images=np.repeat(np.arange(len(detections)), lengths)[order],
        classes=np.concatenate([np.zeros(0, np.int64), *(found.classes for found in detections)])[order],
        scores=scores[order],
        hits=np.concatenate([none, *(hits for hits, _ in pairs)])[order],
        ignored=np.concatenate([none, *(ignored for _, ignored in pairs)])[order],
        objects=np.array(counts).reshape(-1, classes),
    )


def _find_hits(truth: GroundTruth, found: Detections) -> tuple[BoolArray, BoolArray]:
    """Return which detections (d, 10) matched an object that counts, and which one that does not."""
    matched = match_detections(truth, found)
    hits = np.append(truth.counted, False)[matched]
    return hits, (matched >= 0) & ~hits


def _assign_object(overlap: FloatArray, taken: BoolArray, wanted: BoolArray | bool = True) -> IntArray:
    """Choose the best free object at each wanted IoU, (10,) or -1, and mark it in `taken` (10, objects)."""
    best = overlap.shape[1] - 1 - overlap[:, ::-1].argmax(axis=1)
    levels = np.arange(len(IOU_THRESHOLDS))
    enough = (overlap[levels, best] >= IOU_THRESHOLDS) & wanted
    taken[levels[enough], best[enough]] = True
    return np.where(enough, best, -1)
