"""Error types of objects and detections."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.error_types import assign_error_types
from pipeline.evaluate.metrics.worst_images import rank_images_by_errors

A, B, FAR = [0, 0, 10, 10], [30, 0, 40, 10], [70, 70, 80, 80]
HALF, THIRD, TOUCH = [0, 0, 10, 5], [5, 0, 15, 10], [9.5, 0, 19.5, 10]  # IoU with A: 1/2, 1/3, 0.03


def outcome(truth, found, threshold=0.5):
    """Assign error types to boxes given as (box, class) and (box, class, score)."""
    return assign_error_types(
        GroundTruth(
            np.array([b for b, _ in truth], float).reshape(-1, 4), np.array([c for _, c in truth], np.int64)
        ),
        Detections(
            np.array([b for b, *_ in found], float).reshape(-1, 4),
            np.array([s for *_, s in found], float),
            np.array([c for _, c, _ in found], np.int64),
        ),
        threshold,
    )


@pytest.mark.parametrize(
    ("truth", "found", "verdicts", "missed"),
    [
        pytest.param([(A, 0)], [(A, 0, 0.9)], ["right"], [], id="right"),
        pytest.param([(A, 0)], [(HALF, 0, 0.9)], ["right"], [], id="half is enough"),
        pytest.param([(A, 0)], [], [], [0], id="missed"),
        pytest.param([(A, 0)], [(A, 0, 0.4)], [], [0], id="below the threshold"),
        pytest.param([(A, 0)], [(A, 0, 0.5)], ["right"], [], id="at the threshold"),
        pytest.param([], [(A, 0, 0.9)], ["false alarm"], [], id="false alarm"),
        pytest.param([(A, 0)], [(A, 1, 0.9)], ["wrong class"], [], id="wrong class"),
        pytest.param([(A, 0)], [(THIRD, 0, 0.9)], ["loose"], [], id="loose"),
        pytest.param([(A, 0)], [(TOUCH, 0, 0.9)], ["false alarm"], [0], id="hardly touching"),
        pytest.param([(A, 0)], [(THIRD, 1, 0.9)], ["false alarm"], [0], id="loose and of another class"),
        pytest.param([(A, 0)], [(A, 0, 0.9), (A, 0, 0.8)], ["right", "false alarm"], [], id="twice"),
        pytest.param(  # the right one takes the object, though the other overlaps it as much and is surer
            [(A, 0)], [(A, 1, 0.9), (HALF, 0, 0.6)], ["false alarm", "right"], [], id="right goes first"
        ),
        pytest.param([(A, 0), (B, 1)], [(B, 0, 0.9), (A, 1, 0.9)], ["wrong class"] * 2, [], id="swapped"),
    ],
)
def test_error_types_by_hand(truth, found, verdicts, missed):
    judged = outcome(truth, found)
    assert list(judged.verdicts) == verdicts
    assert judged.missed.tolist() == missed


def test_error_counts_by_type_add_up():
    judged = outcome([(A, 0), (B, 0)], [(A, 1, 0.9), (FAR, 0, 0.8), (FAR, 1, 0.7)])
    assert judged.count_errors() == {"missed": 1, "false alarm": 2, "wrong class": 1}
    assert judged.error_count == 4


def test_images_are_ranked_by_errors_and_those_without_left_out():
    fine = outcome([(A, 0)], [(A, 0, 0.9)])
    one = outcome([(A, 0)], [])
    unsure = outcome([(A, 0)], [(A, 0, 0.9), (FAR, 0, 0.6)])
    sure = outcome([(A, 0)], [(A, 0, 0.9), (FAR, 0, 0.95)])
    two = outcome([(A, 0), (B, 0)], [])
    assert rank_images_by_errors([fine, one, unsure, sure, two]) == [4, 3, 2, 1]
