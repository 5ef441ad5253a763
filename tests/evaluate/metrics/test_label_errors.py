"""Suspect labels: by hand, and their scores on random images."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.label_errors import MIN_CONFIDENCE, convert_class_scores, rank_suspect_labels

HERE, THERE = [0, 0, 10, 10], [50, 50, 60, 60]
HALF = [5, 0, 15, 10]  # overlaps HERE by a third
NEAR = [2, 0, 12, 10]  # overlaps HERE by two thirds


def labels(*objects: Any):
    boxes = np.array([box for box, _ in objects], float).reshape(-1, 4)
    return GroundTruth(boxes, np.array([c for _, c in objects], int))


def seen(*found: Any):
    boxes = np.array([box for box, _, _ in found], float).reshape(-1, 4)
    return Detections(boxes, np.array([s for _, _, s in found]), np.array([c for _, c, _ in found], int))


def ranked(truth, found):
    return [(s.kind, round(s.score, 3), s.detection, s.label) for s in rank_suspect_labels([truth], [found])]


CASES = {
    "agreement": (labels((HERE, 0)), seen((HERE, 0, 0.9)), []),
    "an object that the model does not see": (labels((HERE, 0)), seen(), []),
    "no label at all": (labels(), seen((HERE, 0, 0.9)), [("missing", 0.9, 0, -1)]),
    "a label elsewhere": (labels((THERE, 0)), seen((HERE, 0, 0.9)), [("missing", 0.9, 0, -1)]),
    "another class": (labels((HERE, 0)), seen((HERE, 1, 0.9)), [("wrong class", 0.9, 0, 0)]),
    "another class, and some belief in the label's own": (
        labels((HERE, 0)),
        seen((HERE, 1, 0.6), (HERE, 0, 0.25)),
        [("wrong class", 0.35, 0, 0)],
    ),
    "the label's class is surer": (labels((HERE, 0)), seen((HERE, 0, 0.6), (HERE, 1, 0.3)), []),
    "loose, by two thirds": (labels((HERE, 0)), seen((HALF, 0, 0.9)), [("loose", 0.6, 0, 0)]),
    "loose, by a third": (labels((HERE, 0)), seen((NEAR, 0, 0.9)), [("loose", 0.3, 0, 0)]),
    "agreement but for a few pixels": (labels((HERE, 0)), seen(([1, 0, 11, 10], 0, 0.9)), []),
    "a wrong class beside an object that overlaps": (
        labels((HERE, 0), (NEAR, 1)),
        seen(([0, 0, 10, 9], 0, 0.9), (NEAR, 2, 0.8)),
        [("wrong class", 0.8, 1, 1)],
    ),
    "a second, worse detection": (labels((HERE, 0)), seen((HERE, 0, 0.9), (NEAR, 0, 0.5)), []),
    "one place once": (labels(), seen((HERE, 0, 0.9), (NEAR, 1, 0.5)), [("missing", 0.9, 0, -1)]),
    "a second object beside one that has its label": (
        labels((HERE, 0)),
        seen((HALF, 0, 0.9), (HERE, 0, 0.8)),
        [("missing", 0.6, 0, -1)],
    ),
    "not sure enough": (labels(), seen((HERE, 0, MIN_CONFIDENCE - 0.01)), []),
}


@pytest.mark.parametrize(("truth", "found", "suspects"), CASES.values(), ids=CASES)
def test_suspect_labels_by_hand(truth, found, suspects):
    assert ranked(truth, found) == suspects


def test_pose_without_labelled_points_is_not_a_missing_label():
    points = np.array([[[5.0, 5, 0]], [[55, 55, 2]]])
    truth = labels((HERE, 0), (THERE, 0))._replace(keypoints=points)
    found = seen((HERE, 0, 0.9))._replace(overlap=np.zeros((1, 2)))
    assert ranked(truth, found) == []


def test_a_missing_label_beside_a_parallel_rotated_box_is_reported():
    """Their upright boxes overlap by more than half, they themselves do not."""
    box = np.array([[0, 10], [10, 0], [80, 70], [70, 80]], float)
    both = [box, box + np.array([14, -14])]
    extents = [np.concatenate([each.min(axis=0), each.max(axis=0)]) for each in both]
    truth = labels((extents[0], 0))
    found = seen((extents[0], 0, 0.9), (extents[1], 0, 0.8))._replace(
        outlines=tuple(both), overlap=np.array([[1.0], [0.0]])
    )
    assert ranked(truth, found) == [("missing", 0.8, 1, -1)]


def test_suspect_labels_of_all_images_are_sorted_by_score():
    truths = [labels((HERE, 0)), labels(), labels((HERE, 0))]
    found = [seen((HALF, 0, 0.9)), seen((HERE, 0, 0.7)), seen((HERE, 1, 0.95))]
    assert [(s.image, s.kind) for s in rank_suspect_labels(truths, found)[:2]] == [
        (2, "wrong class"),
        (1, "missing"),
    ]


boxes = st.tuples(*[st.integers(0, 20)] * 2, *[st.integers(1, 20)] * 2).map(
    lambda values: [values[0], values[1], values[0] + values[2], values[1] + values[3]]
)


@given(
    st.lists(st.tuples(boxes, st.integers(0, 2)), max_size=6),
    st.lists(st.tuples(boxes, st.integers(0, 2), st.floats(0, 1)), max_size=8),
)
def test_scores_are_between_0_and_1_and_each_label_is_listed_once(objects, found):
    suspects = rank_suspect_labels([labels(*objects)], [seen(*found)])
    scores = [suspect.score for suspect in suspects]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    named = [suspect.label for suspect in suspects if suspect.label >= 0]
    assert len(named) == len(set(named))
    assert all((suspect.label < 0) == (suspect.kind == "missing") for suspect in suspects)


def test_score_of_a_wrong_image_class_is_the_difference_of_probabilities():
    guessed = ClassScores(
        np.array([0, 1, 2]),
        np.array([[1, 0], [1, 2], [0, 1]]),
        np.array([[0.7, 0.2], [0.9, 0.1], [0.6, 0.3]]),
    )
    split = convert_class_scores(guessed, [(8, 8)] * 3)
    found = [(s.image, s.kind, round(s.score, 3)) for s in rank_suspect_labels(*split)]
    assert found == [(2, "wrong class", 0.6), (0, "wrong class", 0.5)]
