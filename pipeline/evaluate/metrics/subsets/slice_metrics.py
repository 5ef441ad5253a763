"""Metrics of each slice of a split, and the worst slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from pipeline.core.arrays import BoolArray
from pipeline.core.metric_names import (
    F1,
    MAP50,
    MAP50_95,
    PRECISION,
    RECALL,
    TASK_PREFIXES,
    TOP1,
    TOP5,
    get_main_metric,
)
from pipeline.core.tasks import Task
from pipeline.evaluate.further_metric_names import ECE
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.calibration import bin_classifications, bin_detections
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.confidence_threshold import average_over_classes, compute_threshold_curves
from pipeline.evaluate.metrics.matching import DetectionTable
from pipeline.evaluate.metrics.subsets.image_slices import build_slice_masks

MIN_JUDGED_IMAGES: Final = 10
"""The worst slice is one of at least so many images; of fewer, any could be the worst by chance."""

SliceRow = dict[str, Any]


def measure_detection_slices(
    table: DetectionTable, slices: Sequence[Sequence[str]], task: Task, *, threshold: float
) -> list[SliceRow]:
    """Compute the metrics of each slice that has objects.

    Args:
        table: The matched detections of a split.
        slices: The slices of each image.
        task: Decides the names of the metrics.
        threshold: Of precision, recall and F1.

    Returns:
        A row per slice: `slice`, `images`, `objects`, and the metrics under the names of metrics.json.
    """

    def measure(chosen: BoolArray) -> SliceRow:
        part = table.select_images(chosen)
        return _measure_table(part, TASK_PREFIXES.get(task, ""), threshold) if part.objects.any() else {}

    return _measure_slices(slices, measure)


def measure_classification_slices(scores: ClassScores, slices: Sequence[Sequence[str]]) -> list[SliceRow]:
    """Compute top-1, top-5 and the calibration error of each slice.

    Args:
        scores: True and predicted classes of the images.
        slices: The slices of each image.
    """

    def measure(chosen: BoolArray) -> SliceRow:
        right = (scores.classes == scores.truth[:, None])[chosen]
        error = bin_classifications(scores.select(chosen)).calibration_error
        return {TOP1: float(right[:, 0].mean()), TOP5: float(right.any(axis=1).mean()), ECE: error}

    return _measure_slices(slices, measure)


def find_worst_slice(rows: Sequence[SliceRow], task: Task) -> SliceRow | None:
    """Return the slice with the lowest main metric among those of enough images; None of fewer than two."""
    judged = [row for row in rows if row["images"] >= MIN_JUDGED_IMAGES]
    main = get_main_metric(task)
    return min(judged, key=lambda row: float(row[main])) if len(judged) > 1 else None


def _measure_slices(
    slices: Sequence[Sequence[str]], measure: Callable[[BoolArray], SliceRow]
) -> list[SliceRow]:
    rows = []
    for name, chosen in build_slice_masks(slices).items():
        if measured := measure(chosen):
            rows.append({"slice": name, "images": int(chosen.sum()), **measured})
    return rows


def _measure_table(table: DetectionTable, prefix: str, threshold: float) -> SliceRow:
    aps = compute_average_precisions(table)
    at = compute_threshold_curves(table, np.array([threshold]))
    row: SliceRow = {"objects": int(table.objects.sum())}
    row |= {prefix + MAP50_95: float(compute_mean_ap(aps)[0])}
    row |= {prefix + MAP50: float(compute_mean_ap(aps[:, :, :1])[0])}
    for name, values in ((PRECISION, at.precision), (RECALL, at.recall), (F1, at.f1)):
        row[prefix + name] = float(average_over_classes(values)[0])
    return row | {ECE: bin_detections(table).calibration_error}
