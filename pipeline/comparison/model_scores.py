"""Compute the figures of a model on resampled test images: of all images, by class, by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from pipeline.comparison.compared_images import SLICE_RESAMPLES, ComparedImages, list_true_classes
from pipeline.comparison.further_scores import (
    SizeFigure,
    average_classes,
    score_average_recalls,
    score_calibration,
    score_reliability,
    score_sizes,
)
from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.metric_names import (
    F1,
    MAP50,
    MAP50_95,
    PRECISION,
    RECALL,
    TASK_PREFIXES,
    TOP1,
    TOP5,
)
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.classification import TOP_CLASSES, select_top_classes
from pipeline.evaluate.metrics.matching import DetectionTable, build_detection_table
from pipeline.evaluate.metrics.similarity import keep_boxes_only


class ModelScores(NamedTuple):
    """The figures of one training, for each weighting of the images.

    Attributes:
        figures: By the names of metrics.json: (weightings,).
        classes: (weightings, classes) the main metric of each class; nan without objects.
        slices: The main metric by slice: (weightings,) of `ClusterResamples.limit(SLICE_RESAMPLES)`.
        parts: Of figures and slices that are means over classes, the values (weightings, classes) of which
            they are; nan without objects.
        sizes: The mAP50-95 by size of the objects.
        outcomes: Of figures that are shares of images, whether each image (images,) is right.
    """

    figures: dict[str, FloatArray]
    classes: FloatArray
    slices: dict[str, FloatArray]
    parts: Mapping[str, FloatArray]
    sizes: Mapping[str, SizeFigure] = {}
    outcomes: Mapping[str, BoolArray] = {}


class ClassCounts(NamedTuple):
    """What precision, recall and F1 are computed from, each (images, classes).

    Attributes:
        hits: Correct predictions.
        shown: Predictions.
        objects: True objects.
    """

    hits: IntArray
    shown: IntArray
    objects: IntArray


def score_predictions(
    predictions: StoredPredictions, test: ComparedImages, *, threshold: float | None = None
) -> ModelScores:
    """Compute the figures of a training for each weighting of the test images.

    Args:
        predictions: On the test split, as `align_predictions` returns them.
        test: The images with their weightings and slices.
        threshold: The score from which a detection counts, as chosen on val; None leaves out precision,
            recall and F1 of detections.
    """
    if predictions.task == "classify":
        return _score_classes(predictions, test)
    return _score_detections(predictions, test, threshold)


def score_main_figure(predictions: StoredPredictions, weights: IntArray) -> FloatArray:
    """Compute the main metric (weightings,) of a training alone.

    Args:
        predictions: On the test split, as `align_predictions` returns them.
        weights: (weightings, images) how often each image counts.
    """
    if predictions.probabilities is not None:
        guesses, _ = select_top_classes(predictions.probabilities)
        return _average((guesses[:, 0] == list_true_classes(predictions)).astype(np.float64), weights)
    table = build_detection_table(predictions.truths, predictions.detections, len(predictions.names))
    return compute_mean_ap(compute_average_precisions(table, weights))


def _score_detections(
    predictions: StoredPredictions, test: ComparedImages, threshold: float | None
) -> ModelScores:
    task, weights = predictions.task, test.resamples.weights
    prefix = TASK_PREFIXES.get(task, "")
    table = build_detection_table(predictions.truths, predictions.detections, len(predictions.names))
    aps = compute_average_precisions(table, weights)
    parts = _name_precisions(aps, prefix)
    if threshold is not None:
        parts |= _score_counts(_count_at_threshold(table, threshold), weights, prefix)
    if prefix:
        parts |= _name_precisions(compute_average_precisions(_build_box_table(predictions), weights), "")
    parts |= score_average_recalls(table, test, weights)
    figures = {name: average_classes(values) for name, values in parts.items()}
    figures |= score_calibration(table, weights)
    sizes = score_sizes(predictions, table, test)
    slices = _score_detection_slices(table, test)
    averages = {name: _average_slice(values) for name, values in slices.items()}
    return ModelScores(figures, aps.mean(axis=2), averages, parts | slices, sizes)


def _name_precisions(aps: FloatArray, prefix: str) -> dict[str, FloatArray]:
    return {prefix + MAP50_95: aps.mean(axis=2), prefix + MAP50: aps[:, :, 0]}


def _build_box_table(predictions: StoredPredictions) -> DetectionTable:
    pairs = zip(predictions.truths, predictions.detections, strict=True)
    truths, found = zip(*(keep_boxes_only(truth, each) for truth, each in pairs), strict=True)
    return build_detection_table(truths, found, len(predictions.names))


def _count_at_threshold(table: DetectionTable, threshold: float) -> ClassCounts:
    """Count per image as `compute_threshold_curves` does: at IoU 0.5, without what does not count."""
    rows = (table.scores >= threshold) & ~table.ignored[:, 0]
    places = table.images[rows], table.classes[rows]
    shown, hits = np.zeros_like(table.objects), np.zeros_like(table.objects)
    np.add.at(shown, places, 1)
    np.add.at(hits, places, table.hits[rows, 0])
    return ClassCounts(hits, shown, table.objects)


def _score_counts(counts: ClassCounts, weights: IntArray, prefix: str) -> dict[str, FloatArray]:
    """Compute precision, recall and F1 of each class (weightings, classes); nan without objects."""
    hits, shown, objects = (weights @ each for each in counts)
    values = {
        PRECISION: hits / np.maximum(shown, 1),
        RECALL: hits / np.maximum(objects, 1),
        F1: 2 * hits / np.maximum(shown + objects, 1),
    }
    return {prefix + name: np.where(objects > 0, value, np.nan) for name, value in values.items()}


def _score_detection_slices(table: DetectionTable, test: ComparedImages) -> dict[str, FloatArray]:
    """Compute the mAP50-95 of each class (weightings, classes) by slice, of slices with objects."""
    weights = test.resamples.limit(SLICE_RESAMPLES).weights
    found = {}
    for name, mask in test.slices.items():
        part = table.select_images(mask)
        if part.objects.any():
            found[name] = compute_average_precisions(part, weights[:, mask]).mean(axis=2)
    return found


def _average_slice(values: FloatArray) -> FloatArray:
    """Average over the classes; nan where a resample has no object of the slice."""
    return np.where(np.isnan(values).all(axis=1), np.nan, average_classes(values))


def _score_classes(predictions: StoredPredictions, test: ComparedImages) -> ModelScores:
    assert predictions.probabilities is not None
    truth, weights = list_true_classes(predictions), test.resamples.weights
    guesses, scores = select_top_classes(predictions.probabilities)
    right = guesses == truth[:, None]
    own, any_of_five = right[:, 0].astype(np.float64), right.any(axis=1).astype(np.float64)
    first = guesses[:, 0][:, None] == np.arange(len(predictions.names))
    objects = test.objects
    counts = ClassCounts((first & (objects > 0)).astype(np.int64), first.astype(np.int64), objects)
    figures = {TOP1: _average(own, weights)}
    if len(predictions.names) > TOP_CLASSES:  # of fewer, the right one is always among the first five
        figures[TOP5] = _average(any_of_five, weights)
    with np.errstate(invalid="ignore"):  # a class that a resample lacks
        classes = (weights @ counts.hits) / (weights @ objects)
    limited = test.resamples.limit(SLICE_RESAMPLES).weights
    slices = {name: _average(own[mask], limited[:, mask]) for name, mask in test.slices.items()}
    outcomes = {TOP1: right[:, 0], TOP5: right.any(axis=1)}
    parts = _score_counts(counts, weights, "")
    figures |= {name: average_classes(values) for name, values in parts.items()}
    figures |= score_reliability(np.arange(len(truth)), scores[:, 0], right[:, 0], weights)
    return ModelScores(figures, classes, slices, parts, {}, outcomes)


def _average(values: FloatArray, weights: IntArray) -> FloatArray:
    with np.errstate(invalid="ignore"):  # a slice that a resample lacks
        averages: FloatArray = (weights @ values) / weights.sum(axis=1)
    return averages
