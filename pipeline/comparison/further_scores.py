"""Further figures of `evaluate` on resampled images: by size of the objects, recall, calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.comparison.compared_images import SLICE_RESAMPLES, ComparedImages
from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.further_metric_names import ECE, name_average_recall, name_size_metric
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.average_recall import DETECTION_LIMITS, rank_detections
from pipeline.evaluate.metrics.calibration import CALIBRATION_BINS, MIN_DETECTION_SCORE
from pipeline.evaluate.metrics.matching import DetectionTable
from pipeline.evaluate.metrics.subsets.object_sizes import build_size_tables, measure_areas


class SizeFigure(NamedTuple):
    """The mAP50-95 of the objects of one size.

    Attributes:
        values: (weightings,) of the first `SLICE_RESAMPLES` resamples; nan without such an object.
        classes: (weightings, classes) of which it is the mean; nan without such an object.
        objects: (images, classes) number of such objects.
    """

    values: FloatArray
    classes: FloatArray
    objects: IntArray


def score_average_recalls(
    table: DetectionTable, test: ComparedImages, weights: IntArray
) -> dict[str, FloatArray]:
    """Compute AR1, AR10 and AR100 of each class (weightings, classes); nan without objects."""
    ranks, objects = rank_detections(table), weights @ table.objects
    found = {}
    for limit in DETECTION_LIMITS:
        recall = (weights @ _average_hits(table, ranks < limit)) / np.maximum(objects, 1)
        found[name_average_recall(limit, test.task)] = np.where(objects > 0, recall, np.nan)
    return found


def average_classes(values: FloatArray) -> FloatArray:
    """Average values (weightings, classes) over the classes with objects; 0 without any."""
    averages: FloatArray = np.nansum(values, axis=1) / np.maximum((~np.isnan(values)).sum(axis=1), 1)
    return averages


def score_sizes(
    predictions: StoredPredictions, table: DetectionTable, test: ComparedImages
) -> dict[str, SizeFigure]:
    """Compute the mAP50-95 of small, medium and large objects, of sizes that the test split has."""
    weights = test.resamples.limit(SLICE_RESAMPLES).weights
    images = measure_areas(predictions.truths, predictions.detections, test.task)
    found = {}
    for size, sized in build_size_tables(images, table).items():
        if sized.objects.any():
            aps = compute_average_precisions(sized, weights)
            values = compute_mean_ap(aps)
            empty = ~(weights @ sized.objects).any(axis=1)
            name = name_size_metric(size, test.task)
            found[name] = SizeFigure(np.where(empty, np.nan, values), aps.mean(axis=2), sized.objects)
    return found


def score_calibration(table: DetectionTable, weights: IntArray) -> dict[str, FloatArray]:
    """Compute the expected calibration error of detections for each weighting; nan without a detection."""
    chosen = (table.scores >= MIN_DETECTION_SCORE) & ~table.ignored[:, 0]
    rows = (table.images[chosen], table.scores[chosen], table.hits[chosen, 0])
    return score_reliability(*rows, weights)


def score_reliability(
    images: IntArray, scores: FloatArray, right: BoolArray, weights: IntArray
) -> dict[str, FloatArray]:
    """Compute the expected calibration error of predictions for each weighting.

    Args:
        images: (n,) the image of each prediction.
        scores: (n,) 0..1.
        right: (n,) whether it is right.
        weights: (weightings, images).
    """
    places = np.minimum((scores * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gaps, counts = np.zeros((2, weights.shape[1], CALIBRATION_BINS))
    np.add.at(gaps, (images, places), scores - right)
    np.add.at(counts, (images, places), 1.0)
    total = (weights @ counts).sum(axis=1)
    errors = np.abs(weights @ gaps).sum(axis=1) / np.where(total, total, np.nan)
    return {ECE: errors} if len(images) else {}


def _average_hits(table: DetectionTable, chosen: BoolArray) -> FloatArray:
    """Return the hits (images, classes) of the chosen detections, averaged over the IoUs."""
    found = np.zeros(table.objects.shape)
    np.add.at(found, (table.images[chosen], table.classes[chosen]), table.hits[chosen].mean(axis=1))
    return found
