"""An image gets labels as a whole, or none."""

import numpy as np
import pytest

from pipeline.core.detections import Detections
from pipeline.predict.pseudo_labels.judge_image import (
    EMPTY,
    LABELLED,
    UNCERTAIN,
    judge_class,
    judge_detections,
)
from pipeline.predict.pseudo_labels.thresholds import ClassThreshold

HERE, THERE, NEAR_HERE = (10, 10, 30, 30), (60, 60, 90, 90), (12, 12, 30, 30)
SURE, NEVER = ClassThreshold(0.6, 0.2, 0.5, 30, 28, 20), ClassThreshold(None, 0.3, 1.0, 5, 2, 1)


def judge(*rows: tuple, max_det=300):
    boxes, scores, classes = zip(*rows, strict=True) if rows else ((), (), ())
    found = Detections(
        np.array(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float64), np.array(classes, np.int64)
    )
    judged = judge_detections(found, [SURE, NEVER], recall=0.9, max_det=max_det)
    return judged.outcome, judged.kept.tolist()


@pytest.mark.parametrize(
    ("rows", "outcome", "kept"),
    [
        ([(HERE, 0.9, 0), (THERE, 0.6, 0)], LABELLED, [True, True]),
        ([(HERE, 0.9, 0), (THERE, 0.1, 0)], LABELLED, [True, False]),  # surely nothing
        ([(HERE, 0.9, 0), (THERE, 0.2, 0)], UNCERTAIN, [False, False]),
        ([(HERE, 0.9, 0), (NEAR_HERE, 0.5, 0)], LABELLED, [True, False]),  # the same object once more
        ([(HERE, 0.9, 0), (NEAR_HERE, 0.5, 1)], LABELLED, [True, False]),
        ([(HERE, 0.9, 0), (THERE, 0.9, 1)], UNCERTAIN, [False, False]),  # of a class without labels
        ([(HERE, 0.9, 0)] * 30 + [(THERE, 0.9, 1)], UNCERTAIN, [False] * 31),
        ([(HERE, 0.1, 0)], EMPTY, [False]),
        ([], EMPTY, []),
    ],
)
def test_an_image_is_labelled_if_nothing_in_it_is_uncertain(rows, outcome, kept):
    assert judge(*rows) == (outcome, kept)


@pytest.mark.parametrize(("labels", "outcome"), [(4, UNCERTAIN), (5, LABELLED), (20, LABELLED)])
def test_one_uncertain_detection_among_many_labels_is_accepted(labels, outcome):
    rows = [((30 * number, 0, 30 * number + 20, 20), 0.9, 0) for number in range(labels)]
    assert judge(*rows, (THERE, 0.5, 0))[0] == outcome  # half an object in ten is missed at most


def test_an_image_with_as_many_detections_as_the_model_returns_may_have_more():
    rows = [(HERE, 0.9, 0), (THERE, 0.9, 0)]
    assert judge(*rows, max_det=2)[0] == UNCERTAIN
    assert judge(*rows, (HERE, 0.001, 0), max_det=3)[0] == LABELLED  # what is cut off is surely nothing


@pytest.mark.parametrize(
    ("probabilities", "cls"), [([0.9, 0.1], 0), ([0.5, 0.5], None), ([0.1, 0.9], None), ([0.6, 0.4], 0)]
)
def test_a_class_counts_from_its_own_probability_on(probabilities, cls):
    assert judge_class(np.array(probabilities), [SURE, NEVER]) == cls
