"""Object keypoint similarity: by hand, and mAP against faster-coco-eval."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.confidence_threshold import compute_threshold_curves
from pipeline.evaluate.metrics.confusion import count_detection_confusions
from pipeline.evaluate.metrics.error_types import assign_error_types
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.oks import COCO_SIGMAS, compute_oks, get_keypoint_sigmas
from pipeline.evaluate.metrics.similarity import attach_similarity
from tests import coco_reference

BOX = np.array([[0.0, 0.0, 10.0, 20.0]])
POSE = np.array([[[5, 2, 2], [2, 18, 1], [8, 18, 2], [0, 0, 0]]], float)


def test_oks_ignores_points_without_a_label():
    found = POSE[:, :, :2].copy()
    found[0, 3] = 999
    assert compute_oks(found, POSE, BOX).item() == pytest.approx(1.0)


def test_oks_by_hand():
    """One of three points is off by a distance d: (2 + exp(-d^2 / (2 * 0.53 * 200 * (2/4)^2))) / 3."""
    found = POSE[:, :, :2].copy()
    found[0, 0] += [3, 4]
    expected = (2 + np.exp(-25 / (2 * 0.53 * 200 * 0.25))) / 3
    assert compute_oks(found, POSE, BOX).item() == pytest.approx(expected)


def test_keypoint_sigmas_are_those_of_coco_or_one_by_count():
    assert get_keypoint_sigmas(17).tolist() == list(COCO_SIGMAS)
    assert get_keypoint_sigmas(5).tolist() == [0.2] * 5


def test_detection_of_a_pose_without_labelled_points_is_ignored():
    unlabelled = np.zeros_like(POSE)
    truth = GroundTruth(
        np.vstack([BOX, BOX + 100]), np.array([0, 0]), keypoints=np.vstack([POSE, unlabelled])
    )
    seen = POSE[:, :, :2]
    found = Detections(
        np.vstack([BOX, BOX + 100, BOX + 300]),
        np.array([0.9, 0.8, 0.7]),
        np.zeros(3, np.int64),
        keypoints=np.concatenate([seen, seen + 100, seen + 300]),
    )
    found = attach_similarity(truth, found, "pose", size=(400, 400))
    table = build_detection_table([truth], [found], 1)
    assert table.objects.tolist() == [[1]]
    assert table.hits[:, 0].tolist() == [True, False, False]
    assert table.ignored[:, 0].tolist() == [False, True, False]
    assert compute_threshold_curves(table, np.array([0.0])).precision.item() == 0.5
    outcome = assign_error_types(truth, found, 0.0)
    assert outcome.verdicts == ("right", "false alarm")
    assert outcome.missed.tolist() == []
    assert count_detection_confusions([outcome], 1).tolist() == [[1, 0], [1, 0]]


def test_other_number_of_points_is_refused():
    found = Detections(BOX, np.array([0.9]), np.array([0]), keypoints=np.zeros((1, 5, 3)))
    with pytest.raises(UserError, match="the model's poses have 5 points, the data's 4"):
        attach_similarity(GroundTruth(BOX, np.array([0]), keypoints=POSE), found, "pose", size=(10, 20))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_faster_coco_eval(seed):
    rng = np.random.default_rng(seed)
    truths, seen = zip(*(scene(rng) for _ in range(8)), strict=True)
    weighed = [
        attach_similarity(truth, found, "pose", size=(200, 200))
        for truth, found in zip(truths, seen, strict=True)
    ]
    table = build_detection_table(truths, weighed, 2)
    theirs = coco_reference.compute_average_precision(truths, seen, 2, kind="keypoints")
    present = table.objects.any(axis=0)
    assert 0.1 < compute_mean_ap(compute_average_precisions(table))[0] < 0.95
    np.testing.assert_allclose(compute_average_precisions(table)[0][present], theirs[present], atol=1e-9)


def scene(rng):
    """Draw people of 17 points, some without a labelled one, and poses that are off, doubled or invented."""
    count = int(rng.integers(1, 5))
    corners = rng.uniform(0, 100, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(30, 90, (count, 2))])
    places = boxes[:, None, :2] + rng.random((count, 17, 2)) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    visible = rng.choice([0, 1, 2], (count, 17, 1), p=[0.3, 0.2, 0.5]) * (rng.random((count, 1, 1)) < 0.8)
    kinds = rng.integers(0, 2, count)
    truth = GroundTruth(boxes, kinds, keypoints=np.concatenate([places * (visible > 0), visible], axis=2))
    chosen = rng.integers(0, count, 8)
    off = places[chosen] + rng.normal(0, 1, (8, 17, 2)) * rng.uniform(0.5, 12, (8, 1, 1))
    scores = rng.random(8).round(1)
    order = np.argsort(-scores, kind="stable")
    return truth, Detections(boxes[chosen][order], scores[order], kinds[chosen][order], keypoints=off[order])
