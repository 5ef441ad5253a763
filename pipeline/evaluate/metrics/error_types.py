"""Error types of the objects and detections of one image, at one threshold and IoU 0.5."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, get_similarity, match_detections

CORRECT: Final = "right"
WRONG_CLASS: Final = "wrong class"
LOCALIZATION_ERROR: Final = "loose"
FALSE_POSITIVE: Final = "false alarm"
MISSED: Final = "missed"
ERROR_TYPES: Final = (MISSED, FALSE_POSITIVE, WRONG_CLASS, LOCALIZATION_ERROR)

MIN_LOCALIZATION_IOU: Final = 0.1
"""The IoU from which a detection is a localization error, not a false positive (TIDE, Bolya et al. 2020)."""


@dataclass(frozen=True)
class ImageErrors:
    """The errors in one image.

    Args:
        truth: Its objects.
        detections: Its detections of at least the threshold.
        verdicts: For each detection: correct or its error type.
        partners: (detections,) index of the object that each is paired with; -1 for a false positive.
        missed: (m,) the objects that no detection is paired with.
    """

    truth: GroundTruth
    detections: Detections
    verdicts: tuple[str, ...]
    partners: IntArray
    missed: IntArray

    @property
    def error_count(self) -> int:
        """The number of missed objects and of detections that are not correct."""
        return len(self.missed) + sum(verdict != CORRECT for verdict in self.verdicts)

    def count_errors(self) -> dict[str, int]:
        """Count the errors by type, in the order of `ERROR_TYPES`, without types that do not occur."""
        counts = {kind: self.verdicts.count(kind) for kind in ERROR_TYPES} | {MISSED: len(self.missed)}
        return {kind: count for kind, count in counts.items() if count}


def assign_error_types(truth: GroundTruth, detections: Detections, threshold: float) -> ImageErrors:
    """Assign each detection to correct or an error type, and find the missed objects.

    Detections are first matched as for precision and recall: one that matches an object of its class at IoU
    0.5 is correct. The others are paired with free objects by descending overlap: another class at IoU 0.5 or
    more is a wrong class, the same class at less than 0.5 a localization error. A detection of an object that
    does not count is left out.
    """
    detections = detections.select(detections.scores >= threshold)
    partners = match_detections(truth, detections)[:, 0]
    ignored = (partners >= 0) & ~np.append(truth.counted, True)[partners]
    detections, partners = detections.select(~ignored), partners[~ignored]
    verdicts = np.where(partners >= 0, CORRECT, FALSE_POSITIVE).astype(object)
    overlap = get_similarity(truth, detections) * truth.counted
    same = detections.classes[:, None] == truth.classes[None, :]
    for verdict, fits in (
        (WRONG_CLASS, ~same & (overlap >= IOU_THRESHOLDS[0])),
        (LOCALIZATION_ERROR, same & (overlap >= MIN_LOCALIZATION_IOU) & (overlap < IOU_THRESHOLDS[0])),
    ):
        for row, column in _pair_by_overlap(np.where(fits, overlap, 0.0), partners):
            partners[row], verdicts[row] = column, verdict
    missed = np.setdiff1d(np.flatnonzero(truth.counted), partners)
    return ImageErrors(truth, detections, tuple(verdicts), partners, missed)


def _pair_by_overlap(overlap: FloatArray, partners: IntArray) -> Iterable[tuple[int, int]]:
    """Pair free detections with free objects, by descending overlap."""
    overlap = overlap.copy()
    overlap[partners >= 0] = 0.0
    overlap[:, partners[partners >= 0]] = 0.0
    while overlap.any():
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        overlap[row], overlap[:, column] = 0.0, 0.0
        yield int(row), int(column)
