"""Thresholds of pseudo-labels: tables of scores on val, and what the rule makes of them."""

import numpy as np
import pytest

from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable
from pipeline.predict.pseudo_labels.thresholds import (
    CAUTIOUS_SCORE,
    PseudoLabelRule,
    ScoredDetections,
    choose_thresholds,
    list_scored_detections,
)


def scored(rows):
    """Return detections of class 0 from (score, right)."""
    scores, right = (np.array(column) for column in zip(*rows, strict=True))
    return ScoredDetections(np.zeros(len(rows), np.int64), scores, right.astype(bool), right.astype(bool))


def choose(rows, precision=0.9, least=20):
    return choose_thresholds(scored(rows), 1, PseudoLabelRule(precision, 0.9, least))[0]


RIGHT, WRONG = True, False
PURE = [(0.9, RIGHT)] * 15 + [(0.7, RIGHT), (0.6, RIGHT), (0.5, RIGHT), (0.5, RIGHT), (0.4, RIGHT)]
"""20 detections: by the allowance as good as 20 of 22."""


@pytest.mark.parametrize(
    ("rows", "precision", "least", "accepted"),
    [
        (PURE, 0.9, 20, 0.4),
        (PURE, 0.9, 21, None),  # too few to know
        (PURE, 0.95, 20, None),  # too few for that much
        (PURE * 3, 0.95, 20, 0.4),
        ([*PURE, (0.3, WRONG)], 0.9, 20, 0.4),
        ([*PURE, (0.3, WRONG)], 0.85, 20, 0.3),  # the lowest score that fits
        ([(0.95, WRONG), *PURE], 0.9, 20, None),
        ([(0.95, WRONG), *PURE, *[(0.3, RIGHT)] * 10], 0.9, 20, 0.3),  # more right ones below
        ([*PURE, (0.4, WRONG)], 0.9, 15, 0.5),  # equal scores are taken together, or not at all
        ([(0.9, WRONG)] * 40, 0.9, 20, None),
    ],
)
def test_a_class_has_labels_from_the_lowest_score_at_which_enough_are_right(rows, precision, least, accepted):
    assert choose(rows, precision, least).accepted == accepted


def test_no_label_has_a_very_low_score_though_val_has_no_wrong_ones():
    found = choose([*PURE, (0.26, RIGHT), (0.01, RIGHT)])
    assert (found.accepted, found.uncertain) == (0.26, 0.26)


def test_counts_are_those_at_or_above_the_threshold():
    found = choose([*PURE, *[(0.3, WRONG)] * 9])
    assert (found.detections, found.right, found.tight) == (20, 20, 20)
    refused = choose([(0.9, WRONG)] * 8)
    assert (refused.accepted, refused.detections, refused.right) == (None, 8, 0)


def test_uncertain_starts_where_nearly_all_objects_are_found():
    rows = [(0.99 - 0.01 * number, RIGHT) for number in range(40)]  # 0.99 to 0.60: the 38th is 95%
    found = choose([*rows, *[(0.65, WRONG)] * 30])
    assert found.accepted == pytest.approx(0.66)
    assert found.uncertain == pytest.approx(0.62)


def test_doubt_is_the_share_of_objects_among_uncertain_detections():
    rows = [(0.9, RIGHT)] * 20 + [(0.5, WRONG), (0.5, WRONG), (0.5, RIGHT), (0.5, WRONG)] * 3
    found = choose(rows, precision=0.9, least=10)
    assert (found.accepted, found.uncertain, found.doubt) == (0.9, 0.5, 0.25)
    assert choose(rows, precision=0.9, least=15).doubt == 1.0  # 12 are too few to know


def test_uncertain_is_never_above_the_threshold():
    found = choose([(0.9, RIGHT)] * 100 + [(0.5, RIGHT)] * 2, precision=0.9)
    assert found.accepted == 0.5
    assert found.uncertain == 0.5


@pytest.mark.parametrize("rows", [[(0.8, RIGHT)] * 3, [(0.9, WRONG)] * 9, [(0.05, RIGHT)]])
def test_a_class_with_few_objects_on_val_is_uncertain_early(rows):
    found = choose(rows)
    assert found.accepted is None
    assert found.uncertain <= CAUTIOUS_SCORE


def test_classes_are_judged_by_themselves_and_may_be_absent():
    second = scored(PURE)._replace(classes=np.ones(len(PURE), np.int64))
    absent, present, last = choose_thresholds(second, 3, PseudoLabelRule())
    assert present.accepted == 0.4
    assert (absent, last) == ((None, CAUTIOUS_SCORE, 1.0, 0, 0, 0),) * 2


def test_matches_of_objects_that_do_not_count_are_left_out():
    hits = np.zeros((3, len(IOU_THRESHOLDS)), bool)
    hits[0] = True
    hits[1, :5] = True  # right at 0.5, not at 0.75
    ignored = np.zeros_like(hits)
    ignored[2] = True
    table = DetectionTable(
        np.arange(3), np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7]), hits, ignored, np.ones((3, 1), int)
    )
    found = list_scored_detections(table)
    assert found.scores.tolist() == [0.9, 0.8]
    assert (found.right.tolist(), found.tight.tolist()) == ([True, True], [True, False])
