"""The confusion matrix of detections: by hand, and its sums; the diagonal is what recall counts."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.confidence_threshold import compute_threshold_curves
from pipeline.evaluate.metrics.confusion import count_detection_confusions
from pipeline.evaluate.metrics.error_types import assign_error_types
from pipeline.evaluate.metrics.matching import build_detection_table

A, B, C = [0, 0, 10, 10], [30, 0, 40, 10], [60, 0, 70, 10]
LOOSE = [5, 0, 15, 10]


def judged(truth, found):
    objects = GroundTruth(
        np.array([b for b, _ in truth], float).reshape(-1, 4), np.array([c for _, c in truth], int)
    )
    boxes = np.array([b for b, _ in found], float).reshape(-1, 4)
    return assign_error_types(
        objects, Detections(boxes, np.full(len(found), 0.9), np.array([c for _, c in found], int)), 0.5
    )


def test_detection_confusions_by_hand():
    first = judged([(A, 0), (B, 0), (C, 1)], [(A, 0), (B, 1), (A, 1)])
    second = judged([(A, 1)], [(LOOSE, 1)])
    empty = judged([], [])
    #     predicted:    0  1  background
    expected = [
        [1, 1, 0],  #  actual 0
        [0, 0, 2],  #  actual 1: one missed, one loose
        [0, 2, 0],  #  background
    ]
    assert count_detection_confusions([first, second, empty], 2).tolist() == expected


def test_confusions_without_images_are_zero():
    assert count_detection_confusions([], 2).tolist() == [[0] * 3] * 3


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 0.7]))
def test_every_object_and_detection_above_threshold_is_counted_once(seed, threshold):
    rng = np.random.default_rng(seed)
    truths, seen = zip(*(scene(rng) for _ in range(3)), strict=True)
    matrix = count_detection_confusions(
        [assign_error_types(t, f, threshold) for t, f in zip(truths, seen, strict=True)], 3
    )
    table = build_detection_table(truths, seen, 3)
    assert matrix[:3].sum(axis=1).tolist() == table.objects.sum(axis=0).tolist()
    kept = table.classes[table.scores >= threshold]
    assert matrix[:, :3].sum(axis=0).tolist() == np.bincount(kept, minlength=3).tolist()
    assert matrix[3, 3] == 0
    recall = compute_threshold_curves(table, np.array([threshold])).recall[0]
    found = np.nan_to_num(recall) * table.objects.sum(axis=0)
    np.testing.assert_allclose(np.diag(matrix)[:3], found)


def scene(rng):
    """Draw objects and detections of three classes, near each other."""
    boxes = place(rng, rng.integers(0, 6))
    found = np.vstack([boxes + rng.integers(-4, 5, boxes.shape), place(rng, rng.integers(0, 4))])
    classes = rng.integers(0, 3, len(boxes))
    called = np.concatenate([classes, rng.integers(0, 3, len(found) - len(boxes))])
    called = np.where(rng.random(len(called)) < 0.3, rng.integers(0, 3, len(called)), called)
    return GroundTruth(boxes, classes), Detections(found, rng.random(len(found)), called)


def place(rng, count):
    corners = rng.integers(0, 40, (count, 2)).astype(float)
    return np.hstack([corners, corners + rng.integers(9, 25, (count, 2))])
