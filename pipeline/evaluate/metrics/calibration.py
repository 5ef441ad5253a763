"""Calibration of scores: whether of all predictions with score 0.8, 80% are right."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.matching import DetectionTable

CALIBRATION_BINS: Final = 10
MIN_DETECTION_SCORE: Final = 0.1
"""Detections of lower scores are left out: there are as many as evaluate.conf and evaluate.max_det allow, and
hardly any is right, so that they would make every model look calibrated."""


class ReliabilityBins(NamedTuple):
    """Predictions by score, in `CALIBRATION_BINS` bins of equal width from 0 to 1.

    Attributes:
        counts: (bins,) number of predictions.
        scores: (bins,) their mean score; NaN without any.
        accuracy: (bins,) the share that is right; NaN without any.
    """

    counts: IntArray
    scores: FloatArray
    accuracy: FloatArray

    @property
    def calibration_error(self) -> float | None:
        """The expected calibration error (Guo et al. 2017); None without a prediction.

        It is the distance of score and accuracy, averaged over the bins by their number of predictions.
        """
        total = self.counts.sum()
        if not total:
            return None
        gaps = np.nan_to_num(np.abs(self.scores - self.accuracy))
        return float((gaps * self.counts).sum() / total)


def bin_detections(table: DetectionTable) -> ReliabilityBins:
    """Bin the detections of at least `MIN_DETECTION_SCORE`; one is right that matches an object at IoU 0.5.

    One that matches an object that does not count is left out.
    """
    chosen = (table.scores >= MIN_DETECTION_SCORE) & ~table.ignored[:, 0]
    return _bin_predictions(table.scores[chosen], table.hits[chosen, 0])


def bin_classifications(scores: ClassScores) -> ReliabilityBins:
    """Bin images by the probability of their most probable class."""
    return _bin_predictions(scores.scores[:, 0], scores.classes[:, 0] == scores.truth)


def _bin_predictions(scores: FloatArray, right: BoolArray) -> ReliabilityBins:
    places = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    counts = np.bincount(places, minlength=CALIBRATION_BINS)
    sums = (np.bincount(places, values, minlength=CALIBRATION_BINS) for values in (scores, right))
    means = [np.where(counts, each / np.maximum(counts, 1), np.nan) for each in sums]
    return ReliabilityBins(counts, *means)
