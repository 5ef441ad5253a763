"""Precision, recall and F1 as functions of the confidence threshold, at IoU 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.evaluate.metrics.matching import DetectionTable

CONFIDENCE_THRESHOLDS: Final = np.linspace(0, 1, 1001)


@dataclass(frozen=True)
class ThresholdCurves:
    """Precision, recall and F1, each (thresholds, classes); NaN for a class without objects."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray


def compute_threshold_curves(
    table: DetectionTable, thresholds: FloatArray = CONFIDENCE_THRESHOLDS
) -> ThresholdCurves:
    """Compute precision, recall and F1 of detections of at least each threshold.

    Precision without any detection is 0.
    """
    objects = table.objects.sum(axis=0)
    counts = np.array([_count_detections(table, cls, thresholds) for cls in range(len(objects))])
    counts = counts.reshape(-1, 2, len(thresholds))
    shown, hits = counts[:, 0].T, counts[:, 1].T
    absent = np.broadcast_to(objects == 0, hits.shape)
    curves = (
        hits / np.maximum(shown, 1),
        hits / np.maximum(objects, 1),
        2 * hits / np.maximum(shown + objects, 1),  # the harmonic mean of the two
    )
    return ThresholdCurves(*(np.where(absent, np.nan, curve) for curve in curves))


def find_best_threshold(table: DetectionTable, *, least: float = 0.0) -> float:
    """Return the threshold with the highest F1, averaged over the classes with objects.

    It is the middle of the first interval of equal maxima: at an edge, a slightly lower score would be lost.

    Args:
        table: The matched detections.
        least: The score from which the model was asked for detections, 0 to 1: nothing is known below.
    """
    thresholds = CONFIDENCE_THRESHOLDS[min(least, 1.0) <= CONFIDENCE_THRESHOLDS]
    f1 = average_over_classes(compute_threshold_curves(table, thresholds).f1)
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))
    first = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)[0]
    return float(thresholds[first[len(first) // 2]])


def average_over_classes(values: FloatArray) -> FloatArray:
    """Average (thresholds, classes) over the classes with objects; 0 where there are none."""
    present = ~np.isnan(values)
    averages: FloatArray = np.nan_to_num(values).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return averages


def _count_detections(table: DetectionTable, cls: int, thresholds: FloatArray) -> tuple[IntArray, IntArray]:
    """Count the detections of a class of at least each threshold, and the hits among them."""
    rows = (table.classes == cls) & ~table.ignored[:, 0]
    shown = np.searchsorted(-table.scores[rows], -thresholds, side="right")
    return shown, np.append(0, np.cumsum(table.hits[rows, 0]))[shown]
