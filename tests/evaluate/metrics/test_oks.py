"""The similarity of poses: by hand, and mAP against faster-coco-eval."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.evaluate.metrics.average_precision import average_precisions, mean
from pipeline.evaluate.metrics.error_types import confusions, judge
from pipeline.evaluate.metrics.matching import tabulate
from pipeline.evaluate.metrics.oks import PERSON, sigmas, similarities
from pipeline.evaluate.metrics.similarity import weigh
from pipeline.evaluate.metrics.thresholds import operate
from tests import coco_answers

BOX = np.array([[0.0, 0.0, 10.0, 20.0]])
POSE = np.array([[[5, 2, 2], [2, 18, 1], [8, 18, 2], [0, 0, 0]]], float)


def test_the_same_pose_is_alike_whatever_stands_for_the_point_that_is_not_labelled():
    found = POSE[:, :, :2].copy()
    found[0, 3] = 999
    assert similarities(found, POSE, BOX).item() == pytest.approx(1.0)


def test_by_hand():
    """One of three points is off by a distance d: (2 + exp(-d^2 / (2 * 0.53 * 200 * (2/4)^2))) / 3."""
    found = POSE[:, :, :2].copy()
    found[0, 0] += [3, 4]
    expected = (2 + np.exp(-25 / (2 * 0.53 * 200 * 0.25))) / 3
    assert similarities(found, POSE, BOX).item() == pytest.approx(expected)


def test_sigmas():
    assert sigmas(17).tolist() == list(PERSON)
    assert sigmas(5).tolist() == [0.2] * 5


def test_what_is_like_an_object_without_labelled_points_is_neither_right_nor_wrong():
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
    found = weigh(truth, found, "pose", size=(400, 400))
    table = tabulate([truth], [found], 1)
    assert table.objects.tolist() == [[1]]
    assert table.hits[:, 0].tolist() == [True, False, False]
    assert table.void[:, 0].tolist() == [False, True, False]
    assert operate(table, np.array([0.0])).precision.item() == 0.5
    outcome = judge(truth, found, 0.0)
    assert outcome.verdicts == ("right", "false alarm")
    assert outcome.missed.tolist() == []
    assert confusions([outcome], 1).tolist() == [[1, 0], [1, 0]]


def test_a_model_of_other_points_is_refused():
    found = Detections(BOX, np.array([0.9]), np.array([0]), keypoints=np.zeros((1, 5, 3)))
    with pytest.raises(UserError, match="the model's poses have 5 points, the data's 4"):
        weigh(GroundTruth(BOX, np.array([0]), keypoints=POSE), found, "pose", size=(10, 20))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_faster_coco_eval(seed):
    rng = np.random.default_rng(seed)
    truths, seen = zip(*(scene(rng) for _ in range(8)), strict=True)
    weighed = [
        weigh(truth, found, "pose", size=(200, 200)) for truth, found in zip(truths, seen, strict=True)
    ]
    table = tabulate(truths, weighed, 2)
    theirs = coco_answers.average_precisions(truths, seen, 2, kind="keypoints")
    present = table.objects.any(axis=0)
    assert 0.1 < mean(average_precisions(table))[0] < 0.95
    np.testing.assert_allclose(average_precisions(table)[0][present], theirs[present], atol=1e-9)


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
