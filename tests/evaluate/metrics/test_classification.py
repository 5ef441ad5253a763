"""Classification metrics by hand, and sums over random images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluate.metrics.average_precision import compute_precision_curve
from pipeline.evaluate.metrics.classification import (
    ClassScores,
    build_class_table,
    collect_classification_metrics,
    evaluate_classification,
    select_top_classes,
)
from pipeline.evaluate.metrics.worst_images import rank_misclassified_images

NAMES = ("crack", "pit", "stain")
#          truth, likeliest first
IMAGES = [(0, [0, 1, 2], [0.9, 0.1, 0.0]), (0, [1, 0, 2], [0.5, 0.4, 0.1]), (1, [1, 2, 0], [0.8, 0.1, 0.1])]
WRONG = (1, [0, 2, 1], [0.6, 0.3, 0.1])


def guessed(images):
    truth, classes, scores = zip(*images, strict=True)
    return ClassScores(np.array(truth), np.array(classes), np.array(scores, float))


def measured(images, resamples=0):
    groups = np.arange(len(images))
    return evaluate_classification(guessed(images), NAMES, groups, resamples=resamples, seed=0)


def test_top_classes_are_sorted_by_probability():
    rows = [np.array([0.1, 0.2, 0.05, 0.4, 0.05, 0.15, 0.05]), np.array([0, 0, 1, 0, 0, 0, 0], float)]
    classes, scores = select_top_classes(rows)
    assert classes.tolist() == [[3, 1, 5, 0, 2], [2, 0, 1, 3, 4]]
    assert scores[0].tolist() == [0.4, 0.2, 0.15, 0.1, 0.05]


def test_classification_metrics_by_hand():
    found = collect_classification_metrics(measured([*IMAGES, WRONG]))
    test, per_class = found["test"], found["per_class"]
    assert (test["top1"], test["top5"], test["images"]) == (0.5, 1.0, 4)
    assert per_class["crack"] == {"precision": 0.5, "recall": 0.5, "F1": 0.5, "images": 2}
    assert per_class["pit"] == {"precision": 0.5, "recall": 0.5, "F1": 0.5, "images": 2}
    assert list(per_class) == ["crack", "pit"]  # there is no stain to judge by
    assert test["F1"] == 0.5


def test_class_beyond_the_first_five_is_wrong_in_top5():
    narrow = ClassScores(np.array([6]), np.array([[0, 1, 2, 3, 4]]), np.full((1, 5), 0.2))
    found = evaluate_classification(narrow, tuple("abcdefg"), np.arange(1), resamples=0, seed=0)
    assert (found.top1.value, found.top5.value) == (0.0, 0.0)
    assert collect_classification_metrics(found)["per_class"]["g"] == {
        "precision": 0.0,
        "recall": 0.0,
        "F1": 0.0,
        "images": 1,
    }


def test_class_confusions_by_hand():
    assert measured([*IMAGES, WRONG]).count_confusions().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_misclassified_images_are_ranked_by_probability():
    assert rank_misclassified_images(measured([*IMAGES, WRONG])) == [3, 1]


def test_class_table_is_each_class_against_the_rest():
    table = build_class_table(measured([*IMAGES, WRONG]))
    # crack by score: 0.9 right, 0.6 wrong, 0.4 right: precision 1 up to recall 1/2, then 2/3
    expected = (51 * 1.0 + 50 * 2 / 3) / 101
    assert compute_precision_curve(table, 0).mean() == pytest.approx(expected)


def test_intervals_contain_the_value_and_narrow_with_more_images():
    few, many = (measured([*IMAGES, WRONG] * times, resamples=300).top1 for times in (3, 60))
    for interval in (few, many):
        assert interval.low <= interval.value <= interval.high
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_frames_of_one_video_are_drawn_together():
    """Twenty videos of fifteen equal frames each say as much as twenty images."""
    once = guessed([*IMAGES, WRONG] * 5)
    frames = ClassScores(*(np.repeat(part, 15, axis=0) for part in once))
    groups, times = np.repeat(np.arange(20), 15), {"resamples": 500, "seed": 0}
    grouped = evaluate_classification(frames, NAMES, groups, **times).top1
    alone = evaluate_classification(once, NAMES, np.arange(20), **times).top1
    assert (grouped.low, grouped.value, grouped.high) == (alone.low, alone.value, alone.high)


def test_right_guesses_alone_leave_room_for_wrong_ones():
    found = measured(IMAGES[:1] * 5, resamples=100)
    assert found.top1.low == pytest.approx(0.025**0.2)
    assert found.top5.low == 1  # there are three classes


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 8))
def test_every_image_is_counted_once(seed, images, classes):
    rng = np.random.default_rng(seed)
    found = select_top_classes(rng.dirichlet(np.ones(classes), images))
    result = evaluate_classification(
        ClassScores(rng.integers(0, classes, images), *found),
        tuple(map(str, range(classes))),
        np.arange(images),
        resamples=0,
        seed=0,
    )
    matrix = result.count_confusions()
    assert matrix.sum() == images
    assert np.trace(matrix) == pytest.approx(result.top1.value * images)
    assert result.top1.value <= result.top5.value
    assert len(rank_misclassified_images(result)) == images - np.trace(matrix)
    assert build_class_table(result).objects.sum() == images
