"""Each object and each detection judged: right, missed, false alarm, wrong class, loose box."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.error_types import judge, rank

A, B, FAR = [0, 0, 10, 10], [30, 0, 40, 10], [70, 70, 80, 80]
HALF, THIRD, TOUCH = [0, 0, 10, 5], [5, 0, 15, 10], [9.5, 0, 19.5, 10]  # IoU with A: 1/2, 1/3, 0.03


def outcome(truth, found, threshold=0.5):
    """Judge boxes given as (box, class) and (box, class, score)."""
    return judge(
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
def test_verdicts(truth, found, verdicts, missed):
    judged = outcome(truth, found)
    assert list(judged.verdicts) == verdicts
    assert judged.missed.tolist() == missed


def test_reasons_are_counted_and_add_up_to_the_errors():
    judged = outcome([(A, 0), (B, 0)], [(A, 1, 0.9), (FAR, 0, 0.8), (FAR, 1, 0.7)])
    assert judged.reasons() == {"missed": 1, "false alarm": 2, "wrong class": 1}
    assert judged.errors == 4


def test_the_worst_come_first_and_the_faultless_not_at_all():
    fine = outcome([(A, 0)], [(A, 0, 0.9)])
    one = outcome([(A, 0)], [])
    unsure = outcome([(A, 0)], [(A, 0, 0.9), (FAR, 0, 0.6)])
    sure = outcome([(A, 0)], [(A, 0, 0.9), (FAR, 0, 0.95)])
    two = outcome([(A, 0), (B, 0)], [])
    assert rank([fine, one, unsure, sure, two]) == [4, 3, 2, 1]
