"""Curves of several models over one another: precision and recall, F1 and confidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.compare_models import ComparedModel
from pipeline.core.arrays import FloatArray
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.average_precision import RECALL_LEVELS, compute_precision_curve
from pipeline.evaluate.metrics.classification import (
    ClassificationResult,
    ClassScores,
    build_class_table,
    evaluate_classification,
    select_top_classes,
)
from pipeline.evaluate.metrics.confidence_threshold import (
    CONFIDENCE_THRESHOLDS,
    average_over_classes,
    compute_threshold_curves,
)
from pipeline.evaluate.metrics.matching import DetectionTable, build_detection_table

_STEP: Final = 10
"""Every tenth threshold is drawn."""


class ModelCurve(NamedTuple):
    """A line of a chart.

    Attributes:
        x: (n,) in 0..1.
        y: (n,) in 0..1.
    """

    x: FloatArray
    y: FloatArray


class ModelCurves(NamedTuple):
    """The curves of one model, the mean of its classes and trainings.

    Attributes:
        precision: Precision over recall.
        f1: F1 over the confidence threshold.
    """

    precision: ModelCurve
    f1: ModelCurve


def compute_model_curves(model: ComparedModel) -> ModelCurves:
    """Compute the curves of a model at IoU 0.5; of classify, of each class against the rest.

    Args:
        model: With predictions as `align_models` returns them.
    """
    tables = [_build_table(found) for found in model.trainings]
    precision = np.mean([_average_precision_curve(table) for table in tables], axis=0)
    f1 = np.mean([_average_f1(table) for table in tables], axis=0)
    return ModelCurves(
        ModelCurve(RECALL_LEVELS, precision), ModelCurve(CONFIDENCE_THRESHOLDS[::_STEP], f1[::_STEP])
    )


def _build_table(predictions: StoredPredictions) -> DetectionTable:
    if predictions.probabilities is None:
        return build_detection_table(predictions.truths, predictions.detections, len(predictions.names))
    truth = np.array([image.cls for image in predictions.images], np.int64)
    scores = ClassScores(truth, *select_top_classes(predictions.probabilities))
    alone = np.arange(len(truth))
    result: ClassificationResult = evaluate_classification(
        scores, predictions.names, alone, resamples=0, seed=0
    )
    return build_class_table(result)


def _average_precision_curve(table: DetectionTable) -> FloatArray:
    present: Sequence[int] = np.flatnonzero(table.objects.any(axis=0)).tolist()
    curve: FloatArray = np.mean([compute_precision_curve(table, cls) for cls in present], axis=0)
    return curve


def _average_f1(table: DetectionTable) -> FloatArray:
    return average_over_classes(compute_threshold_curves(table).f1)
