"""Suspect labels, which a model contradicts with confidence: missing label, wrong class, loose box.

The score says how confident the model is, times how little the labels agree with it:

    missing:         confidence x (1 - overlap with the nearest label of any class)
    loose:           confidence x (1 - overlap with the nearest label of its class), below AGREEMENT_IOU
    wrong class:     confidence - the confidence of the model in the label's own class there
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.error_types import MIN_LOCALIZATION_IOU
from pipeline.evaluate.metrics.iou import box_iou, rotated_box_iou
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, get_similarity

LabelErrorKind = Literal["missing", "wrong class", "loose"]

MIN_CONFIDENCE: Final = 0.25
"""The score from which a detection may contradict a label: Ultralytics' threshold for showing one."""

MATCH_IOU: Final = float(IOU_THRESHOLDS[0])
"""The overlap from which a detection and a label are of the same object."""


AGREEMENT_IOU: Final = 0.75
"""The overlap from which a detection contradicts no box: people draw the same object about as unlike."""


class SuspectLabel(NamedTuple):
    """One label, or a missing one, that the model contradicts.

    Attributes:
        image: Index of the image.
        kind: The suspected error.
        score: 0..1, how strong the contradiction is.
        detection: Index of the detection that contradicts.
        label: Index of the label; -1 for a missing one.
        overlap: Of detection and label.
    """

    image: int
    kind: LabelErrorKind
    score: float
    detection: int
    label: int
    overlap: float


def rank_suspect_labels(
    truths: Sequence[GroundTruth], detections: Sequence[Detections]
) -> list[SuspectLabel]:
    """List the suspect labels of all images, the highest score first.

    Args:
        truths: The labels of each image.
        detections: The detections of each image, of any score, in the same order.
    """
    pairs = enumerate(zip(truths, detections, strict=True))
    suspects = [suspect for image, (truth, found) in pairs for suspect in _find_suspects(image, truth, found)]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.image, suspect.detection))


def _find_suspects(image: int, truth: GroundTruth, found: Detections) -> list[SuspectLabel]:
    """Compare the confident detections of one image with its labels; each label is suspected once at most."""
    overlap = get_similarity(truth, found) * truth.counted
    not_comparable = box_iou(found.boxes, truth.boxes[~truth.counted]).max(axis=1, initial=0.0) >= MATCH_IOU
    same = found.classes[:, None] == truth.classes[None, :]
    support = _find_label_support(np.where(same, overlap, 0.0), found.scores)
    suspects: list[SuspectLabel] = []
    explained: list[int] = []  # detections of labels, and of objects that are reported
    for row in np.argsort(-found.scores, kind="stable").tolist():
        if found.scores[row] < MIN_CONFIDENCE:
            break
        if not_comparable[row]:
            continue  # a detection of a pose without a labelled point says nothing about labels
        suspect = _compare_with_labels(
            image, row, (overlap[row], same[row], support), float(found.scores[row])
        )
        if suspect and (suspect.score <= 0 or _is_reported(suspect, suspects, explained, found)):
            continue
        explained.append(row)
        if suspect:
            suspects.append(suspect)
    return suspects


def _find_label_support(overlap: FloatArray, scores: FloatArray) -> FloatArray:
    """Return for each label (n,) the best score of a detection that matches it; 0 where none does."""
    matching = np.where(overlap >= MATCH_IOU, scores[:, None], 0.0)
    best: FloatArray = matching.max(axis=0, initial=0.0)
    return best


def _compare_with_labels(
    image: int, row: int, labels: tuple[FloatArray, BoolArray, FloatArray], score: float
) -> SuspectLabel | None:
    """Find the label that a detection contradicts; None where it agrees with one.

    Args:
        image: Index of the image.
        row: Index of the detection.
        labels: Of each label (n,): overlap with the detection, whether it is of its class, and its support.
        score: Of the detection.
    """
    overlap, same, support = labels
    own, own_overlap = _find_nearest_label(np.where(same, overlap, 0.0))
    other, other_overlap = _find_nearest_label(np.where(same, 0.0, overlap))
    if own_overlap < MATCH_IOU <= other_overlap:
        return SuspectLabel(image, "wrong class", score - float(support[other]), row, other, other_overlap)
    if own_overlap >= MATCH_IOU:
        if support[own] > score or own_overlap >= AGREEMENT_IOU:
            return None
        return SuspectLabel(image, "loose", score * (1 - own_overlap), row, own, own_overlap)
    if own_overlap >= MIN_LOCALIZATION_IOU and support[own] < MIN_CONFIDENCE:
        return SuspectLabel(image, "loose", score * (1 - own_overlap), row, own, own_overlap)
    return SuspectLabel(image, "missing", score * (1 - max(own_overlap, other_overlap)), row, -1, 0.0)


def _find_nearest_label(overlap: FloatArray) -> tuple[int, float]:
    """Return the label that overlaps most, and its overlap; -1 where there is no label."""
    if not len(overlap):
        return -1, 0.0
    best = int(overlap.argmax())
    return best, float(overlap[best])


def _is_reported(
    suspect: SuspectLabel, suspects: Sequence[SuspectLabel], explained: Sequence[int], found: Detections
) -> bool:
    """Check whether a detection of higher score reported the same label before, or is of the same object."""
    if suspect.label >= 0:
        return any(other.label == suspect.label for other in suspects)
    return any(_overlap(found, suspect.detection, other) >= MATCH_IOU for other in explained)


def _overlap(found: Detections, first: int, second: int) -> float:
    """Return the IoU of two detections: of rotated boxes by their corners, of others by upright boxes."""
    corners = [found.outlines[place] for place in (first, second) if place < len(found.outlines)]
    if [len(each) for each in corners] == [4, 4]:
        return float(rotated_box_iou(corners[0][None], corners[1][None])[0, 0])
    return float(box_iou(found.boxes[first][None], found.boxes[second][None])[0, 0])


def convert_class_scores(scores: ClassScores, sizes: Sequence[tuple[int, int]]) -> SplitPredictions:
    """Convert classes of whole images to objects that fill the images, and the predictions likewise.

    Args:
        scores: True and predicted classes of the images.
        sizes: Width and height of each image.
    """
    boxes = [np.array([[0.0, 0.0, width, height]]) for width, height in sizes]
    truths = [GroundTruth(box, scores.truth[place : place + 1]) for place, box in enumerate(boxes)]
    detections = [
        Detections(box.repeat(len(of_image), axis=0), of_image, classes)
        for box, classes, of_image in zip(boxes, scores.classes, scores.scores, strict=True)
    ]
    return SplitPredictions(truths, detections)
