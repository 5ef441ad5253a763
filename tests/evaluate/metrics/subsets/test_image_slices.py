"""Slices of a split, their metrics, and the worst one."""

import numpy as np
import pytest

from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable
from pipeline.evaluate.metrics.subsets.image_slices import MIN_SLICE_IMAGES, SliceFacts, assign_slices
from pipeline.evaluate.metrics.subsets.slice_metrics import (
    find_worst_slice,
    measure_classification_slices,
    measure_detection_slices,
)


def facts(count=30, **changes):
    """Images in one folder, all alike, each in a group of its own, but for what changes by number."""
    given = {
        "source": lambda number: f"images/{number}.jpg",
        "group": lambda number: f"images/{number}.jpg",
        "size": lambda _: (640, 480),
    }
    return [
        SliceFacts(**{key: make(number) for key, make in (given | changes).items()})
        for number in range(count)
    ]


def count_slices(images):
    slices = assign_slices(images)
    return {name: sum(name in each for each in slices) for each in slices for name in each}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        (
            {"source": lambda number: f"{'ab'[number % 2]}/{number}.jpg"},
            {"folder=a": 15, "folder=b": 15},
        ),
        ({"group": lambda number: "one" if number < 7 else str(number)}, {"group=one": 7}),
        (
            {"brightness": lambda number: number / 100},
            {"brightness=low": 10, "brightness=middle": 10, "brightness=high": 10},
        ),
        ({"brightness": lambda _: 0.5}, {}),
        ({"brightness": lambda number: None if number < 15 else 0.5 + number / 100}, None),
        (
            {"size": lambda number: (640, 480) if number < 20 else (320, 200)},
            {"size=640x480": 20, "size=320x200": 10},
        ),
        (
            {"size": lambda number: (640 + number, 480)},
            {"size=low": 10, "size=middle": 10, "size=high": 10},
        ),
        (
            {"objects": lambda number: number % 6},
            {"objects=0": 5, "objects=1": 5, "objects=2-4": 15, "objects=5-9": 5},
        ),
        (
            {"columns": lambda number: {"camera": "left"} if number < 12 else {}},
            {"camera=left": 12},
        ),
    ],
)
def test_images_are_sliced_by_each_column(changes, expected):
    found = count_slices(facts(**changes))
    if expected is None:
        assert set(found.values()) == {5}
    else:
        assert found == expected


def test_slices_of_few_images_and_of_equal_images_are_left_out():
    images = facts(
        source=lambda number: f"{'ab'[number < MIN_SLICE_IMAGES - 1]}/{number}.jpg",
        columns=lambda number: {"site": "x" if number >= MIN_SLICE_IMAGES - 1 else "y"},
    )
    assert list(count_slices(images)) == ["folder=a"]


def test_column_of_many_values_gives_only_the_largest_slices():
    images = facts(200, columns=lambda number: {"batch": f"{number // 6:03d}"})
    assert len(count_slices(images)) == 12


def detection_table(hits):
    """One object and one detection per image; `hits` says which detections are right."""
    count = len(hits)
    return DetectionTable(
        np.arange(count),
        np.zeros(count, np.int64),
        np.linspace(0.9, 0.5, count),
        np.repeat(np.array(hits, bool)[:, None], len(IOU_THRESHOLDS), axis=1),
        np.zeros((count, len(IOU_THRESHOLDS)), bool),
        np.ones((count, 1), np.int64),
    )


def test_detections_of_each_slice_are_measured_and_the_worst_slice_is_found():
    slices = [("light=day",)] * 12 + [("light=night",)] * 12 + [("light=fog",)] * 6
    rows = measure_detection_slices(
        detection_table([True] * 12 + [True, False] * 6 + [False] * 6), slices, "detect", threshold=0.1
    )
    day, fog, night = rows
    assert (day["slice"], day["images"], day["objects"], day["mAP50-95"]) == ("light=day", 12, 12, 1.0)
    assert (night["recall"], night["precision"]) == (0.5, 0.5)
    assert 0.3 < night["mAP50-95"] < 0.7
    assert fog["mAP50-95"] == 0.0
    worst = find_worst_slice(rows, "detect")
    assert worst
    assert worst["slice"] == "light=night"


def test_one_slice_of_enough_images_is_not_called_the_worst():
    rows = measure_detection_slices(
        detection_table([True] * 20), [("a=b",)] * 12 + [()] * 8, "detect", threshold=0.1
    )
    assert len(rows) == 1
    assert find_worst_slice(rows, "detect") is None


def test_classes_of_each_slice_are_measured():
    scores = ClassScores(np.zeros(20, np.int64), np.tile([0, 1], (20, 1)), np.tile([0.75, 0.25], (20, 1)))
    scores.classes[10:] = [1, 0]
    rows = measure_classification_slices(scores, [("a=1",)] * 10 + [("a=2",)] * 10)
    assert [(row["top1"], row["top5"], row["ECE"]) for row in rows] == [(1.0, 1.0, 0.25), (0.0, 1.0, 0.75)]
