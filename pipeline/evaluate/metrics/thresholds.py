"""Precision, recall and F1 against the score above which a detection counts, at IoU 0.5."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics.matching import DetectionTable

THRESHOLDS: Final = np.linspace(0, 1, 1001)


@dataclass(frozen=True)
class ThresholdCurves:
    """Precision, recall and F1, each (thresholds, classes); NaN for a class without objects."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def operate(table: DetectionTable, thresholds: NDArray[np.float64] = THRESHOLDS) -> ThresholdCurves:
    """Count what detections of at least each threshold get right; precision without any detection is 0."""
    objects = table.objects.sum(axis=0)
    counts = np.array([_counts(table, cls, thresholds) for cls in range(len(objects))]).reshape(
        -1, 2, len(thresholds)
    )
    shown, hits = counts[:, 0].T, counts[:, 1].T
    absent = np.broadcast_to(objects == 0, hits.shape)
    figures = (
        hits / np.maximum(shown, 1),
        hits / np.maximum(objects, 1),
        2 * hits / np.maximum(shown + objects, 1),  # the harmonic mean of the two
    )
    return ThresholdCurves(*(np.where(absent, np.nan, figure) for figure in figures))


def best_threshold(table: DetectionTable) -> float:
    """Return the threshold with the highest F1, averaged over the classes with objects.

    The middle of the first stretch of equal maxima: at its edge, a score a little lower would be lost.
    """
    f1 = average(operate(table).f1)
    best = np.flatnonzero(np.isclose(f1, f1.max(), rtol=0, atol=1e-12))
    stretch = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)[0]
    return float(THRESHOLDS[stretch[len(stretch) // 2]])


def average(figures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (thresholds, classes) over the classes with objects; 0 where there are none."""
    present = ~np.isnan(figures)
    averages: NDArray[np.float64] = np.nan_to_num(figures).sum(axis=1) / np.maximum(present.sum(axis=1), 1)
    return averages


def _counts(
    table: DetectionTable, cls: int, thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = (table.classes == cls) & ~table.void[:, 0]
    shown = np.searchsorted(-table.scores[rows], -thresholds, side="right")
    return shown, np.append(0, np.cumsum(table.hits[rows, 0]))[shown]
