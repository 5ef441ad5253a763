"""Labels that a trained model contradicts with confidence: a missing one, a wrong class, a loose place.

One rule ranks them all: what the model saw, times how little the labels agree with it.

    missing, loose:  confidence x (1 - overlap with the nearest label of its class)
    wrong class:     confidence - the confidence that the model has in the label's own class there
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.error_types import TOUCHING
from pipeline.evaluate.metrics.iou import box_iou
from pipeline.evaluate.metrics.matching import IOUS, likeness

LabelErrorKind = Literal["missing", "wrong class", "loose"]

SURE: Final = 0.25
"""The score from which a detection contradicts anything: Ultralytics' own threshold for showing one."""

SAME: Final = float(IOUS[0])
"""The overlap from which a detection stands for a label."""


class SuspectLabel(NamedTuple):
    """One label, or the lack of one, that the model contradicts.

    Attributes:
        image: Which image.
        kind: What is suspected.
        score: 0..1, how strongly.
        found: The detection that contradicts.
        label: The label contradicted; -1 where one is missing.
        overlap: Of detection and label.
    """

    image: int
    kind: LabelErrorKind
    score: float
    found: int
    label: int
    overlap: float


def rank(truths: Sequence[GroundTruth], found: Sequence[Detections], *, most: int) -> list[SuspectLabel]:
    """List what is suspected in all images, the strongest contradiction first.

    Args:
        truths: The labels of each image.
        found: What the model found in each, with any score, in the same order.
        most: The longest list.
    """
    pairs = enumerate(zip(truths, found, strict=True))
    suspects = [suspect for image, (truth, seen) in pairs for suspect in _of_image(image, truth, seen)]
    return sorted(suspects, key=lambda suspect: (-suspect.score, suspect.image, suspect.found))[:most]


def _of_image(image: int, truth: GroundTruth, found: Detections) -> list[SuspectLabel]:
    """Judge the confident detections of one image, the surest first; each label is contradicted once."""
    overlap = likeness(truth, found) * truth.counted
    beyond = box_iou(found.boxes, truth.boxes[~truth.counted]).max(axis=1, initial=0.0) >= SAME
    same = found.classes[:, None] == truth.classes[None, :]
    believed = _believed(np.where(same, overlap, 0.0), found.scores)
    suspects: list[SuspectLabel] = []
    for row in np.argsort(-found.scores, kind="stable").tolist():
        if found.scores[row] < SURE:
            break
        if beyond[row]:
            continue  # it sees an object that cannot be held against it: a pose without a labelled point
        suspect = _judged(image, row, (overlap[row], same[row], believed), float(found.scores[row]))
        if suspect and suspect.score > 0 and not _told(suspect, suspects, found):
            suspects.append(suspect)
    return suspects


def _believed(overlap: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each label (n,) the best score of a detection that stands for it; 0 where none does."""
    standing = np.where(overlap >= SAME, scores[:, None], 0.0)
    best: NDArray[np.float64] = standing.max(axis=0, initial=0.0)
    return best


def _judged(
    image: int,
    row: int,
    against: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]],
    score: float,
) -> SuspectLabel | None:
    """Hold a detection against labels: overlap with each, which are of its class, how believed each is."""
    overlap, same, believed = against
    own, own_overlap = _nearest(np.where(same, overlap, 0.0))
    other, other_overlap = _nearest(np.where(same, 0.0, overlap))
    if own_overlap < SAME <= other_overlap:
        return SuspectLabel(image, "wrong class", score - float(believed[other]), row, other, other_overlap)
    if own_overlap >= SAME:
        better = believed[own] > score
        return (
            None if better else SuspectLabel(image, "loose", score * (1 - own_overlap), row, own, own_overlap)
        )
    if own_overlap >= TOUCHING and believed[own] < SURE:
        return SuspectLabel(image, "loose", score * (1 - own_overlap), row, own, own_overlap)
    return SuspectLabel(image, "missing", score * (1 - max(own_overlap, other_overlap)), row, -1, 0.0)


def _nearest(overlap: NDArray[np.float64]) -> tuple[int, float]:
    """Return the label that overlaps most, and by how much; -1 where there is no label."""
    if not len(overlap):
        return -1, 0.0
    best = int(overlap.argmax())
    return best, float(overlap[best])


def _told(suspect: SuspectLabel, suspects: Sequence[SuspectLabel], found: Detections) -> bool:
    """Tell whether a surer detection of the same place, or of the same label, has said so already."""
    if suspect.label >= 0 and any(other.label == suspect.label for other in suspects):
        return True
    here = found.boxes[suspect.found][None]
    return any(box_iou(here, found.boxes[other.found][None])[0, 0] >= SAME for other in suspects)


def whole(guessed: ClassScores, sizes: Sequence[tuple[int, int]]) -> SplitPredictions:
    """Return images that have a class each as if it were an object that fills them, and so the guesses.

    Args:
        guessed: What the images are, and are taken for.
        sizes: Width and height of each.
    """
    boxes = [np.array([[0.0, 0.0, width, height]]) for width, height in sizes]
    truths = [GroundTruth(box, guessed.truth[place : place + 1]) for place, box in enumerate(boxes)]
    found = [
        Detections(box.repeat(len(scores), axis=0), scores, classes)
        for box, classes, scores in zip(boxes, guessed.classes, guessed.scores, strict=True)
    ]
    return SplitPredictions(truths, found)
