"""Precision, recall and F1 as functions of the threshold, and the best threshold."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.confidence_threshold import (
    average_over_classes,
    compute_threshold_curves,
    find_best_threshold,
)
from pipeline.evaluate.metrics.matching import build_detection_table


def row(places, scores, classes=None, *, objects=(0, 1), object_classes=None, count=1):
    """Put objects and detections on a line of squares: place k covers x from 20 k to 20 k + 10."""
    truth = GroundTruth(squares(objects), np.array(object_classes or [0] * len(objects), np.int64))
    found = Detections(
        squares(places), np.array(scores, float), np.array(classes or [0] * len(places), np.int64)
    )
    return build_detection_table([truth], [found], count)


def squares(places):
    return np.array([[20.0 * k, 0, 20.0 * k + 10, 10] for k in places]).reshape(-1, 4)


@pytest.mark.parametrize(
    ("threshold", "precision", "recall", "f1"),
    [
        (0.0, 2 / 4, 2 / 2, 2 / 3),
        (0.3, 2 / 3, 2 / 2, 4 / 5),  # a score equal to the threshold counts
        (0.31, 1 / 2, 1 / 2, 1 / 2),
        (0.85, 1 / 1, 1 / 2, 2 / 3),
        (0.95, 0.0, 0.0, 0.0),
    ],
)
def test_precision_recall_and_f1_at_a_threshold(threshold, precision, recall, f1):
    table = row([0, 7, 1, 8], [0.9, 0.8, 0.3, 0.1])
    at = compute_threshold_curves(table, np.array([threshold]))
    assert [at.precision.item(), at.recall.item(), at.f1.item()] == pytest.approx([precision, recall, f1])


def test_class_without_objects_is_nan_and_left_out_of_the_mean():
    table = row([0, 5], [0.9, 0.9], [0, 1], objects=[0], count=2)
    at = compute_threshold_curves(table, np.array([0.5]))
    assert np.isnan(at.f1[0, 1])
    assert average_over_classes(at.f1).tolist() == [1.0]


def test_best_threshold_is_the_middle_of_its_interval():
    assert find_best_threshold(row([0, 1, 7], [0.9, 0.6, 0.2])) == pytest.approx(0.4, abs=0.002)


def test_nothing_is_chosen_below_the_scores_that_were_predicted():
    assert find_best_threshold(row([0, 1], [0.9, 0.4]), least=0.3) == pytest.approx(0.35, abs=0.002)
    assert find_best_threshold(row([], []), least=0.999) == pytest.approx(1.0, abs=0.002)


def test_lower_of_two_intervals_of_equal_f1_is_chosen():
    table = row([0, 7, 8, 1], [0.9, 0.8, 0.7, 0.3])
    f1 = compute_threshold_curves(table, np.array([0.2, 0.5, 0.85])).f1[:, 0]
    assert f1.tolist() == pytest.approx([2 / 3, 2 / 5, 2 / 3])
    assert find_best_threshold(table) == pytest.approx(0.15, abs=0.002)


def test_best_threshold_weights_classes_equally():
    table = row(
        [0, 1, 2, 5, 6, 7], [0.9, 0.9, 0.9, 0.4, 0.3, 0.2], [0, 0, 0, 1, 0, 0],
        objects=[0, 1, 2, 5], object_classes=[0, 0, 0, 1], count=2,
    )  # fmt: skip
    assert find_best_threshold(table) == pytest.approx(0.35, abs=0.002)


@pytest.mark.parametrize("count", [1, 3])
def test_best_threshold_without_detections_is_a_half(count):
    assert find_best_threshold(row([], [], count=count)) == pytest.approx(0.5, abs=0.002)
