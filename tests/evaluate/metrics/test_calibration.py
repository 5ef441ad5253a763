"""Calibration of scores, by hand."""

import numpy as np
import pytest

from pipeline.evaluate.metrics.calibration import bin_classifications, bin_detections
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable


def table(scores, right, ignored=None):
    count = len(scores)
    levels = len(IOU_THRESHOLDS)
    return DetectionTable(
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.array(scores, float),
        np.repeat(np.array(right, bool)[:, None], levels, axis=1),
        np.repeat(np.array(ignored or [False] * count, bool)[:, None], levels, axis=1),
        np.array([[sum(right)]]),
    )


def test_calibrated_scores_have_no_error():
    bins = bin_detections(
        table([0.75] * 4 + [0.25] * 4, [True, True, True, False, True, False, False, False])
    )
    assert bins.counts.tolist() == [0, 0, 4, 0, 0, 0, 0, 4, 0, 0]
    assert bins.calibration_error == pytest.approx(0)


def test_error_is_the_mean_distance_weighted_by_the_predictions():
    bins = bin_detections(table([0.9] * 3 + [0.3], [True, False, False, True]))
    assert bins.calibration_error == pytest.approx((3 * (0.9 - 1 / 3) + 0.7) / 4)


def test_score_one_is_in_the_last_bin():
    assert bin_detections(table([1.0], [True])).counts[-1] == 1


def test_low_scores_and_ignored_detections_are_left_out():
    bins = bin_detections(table([0.9, 0.9, 0.05], [True, False, False], [False, True, False]))
    assert bins.counts.sum() == 1


def test_no_prediction_has_no_error():
    assert bin_detections(table([], [])).calibration_error is None


def test_images_are_binned_by_their_first_class():
    scores = ClassScores(np.array([0, 1]), np.array([[0, 1], [0, 1]]), np.array([[0.85, 0.15], [0.85, 0.15]]))
    assert bin_classifications(scores).calibration_error == pytest.approx(0.35)
