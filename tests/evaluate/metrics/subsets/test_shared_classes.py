"""Two models on the classes that both know: names decide, not numbers."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.subsets.shared_classes import (
    Resamples,
    compare_guesses,
    compare_tables,
    find_shared_classes,
    select_shared_detections,
    select_shared_guess,
    select_shared_objects,
)

DATA, BASE, TUNED = ("person", "dog", "cat"), ("Cat", "bus", "person"), ("person", "scratch", "cat")
BOXES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float64)


def test_classes_are_shared_by_name_and_numbered_as_the_dataset_has_them():
    shared = find_shared_classes(DATA, BASE, TUNED)
    assert shared.names == ("person", "cat")
    assert shared.of_data.tolist() == [0, -1, 1]
    assert shared.of_first.tolist() == [1, -1, 0]
    assert shared.of_second.tolist() == [0, -1, 1]
    assert find_shared_classes(DATA, ("bus",), TUNED).names == ()


def test_objects_and_detections_of_other_classes_are_left_out():
    shared = find_shared_classes(DATA, BASE, TUNED)
    truth = select_shared_objects(GroundTruth(BOXES, np.array([0, 1, 2])), shared.of_data)
    assert (truth.classes.tolist(), truth.boxes[:, 0].tolist()) == ([0, 1], [0, 40])
    found = select_shared_detections(
        Detections(BOXES, np.array([0.9, 0.8, 0.7]), np.array([0, 1, 2])), shared.of_first
    )
    assert (found.classes.tolist(), found.boxes[:, 0].tolist()) == ([1, 0], [0, 40])


def build_table(found_in, images=20):
    """Build the table of a model that finds the object of these images only."""
    truths = [GroundTruth(BOXES[:1], np.array([0])) for _ in range(images)]
    hits = [int(number in found_in) for number in range(images)]
    found = [Detections(BOXES[:hit], np.full(hit, 0.9), np.zeros(hit, np.int64)) for hit in hits]
    return build_detection_table(truths, found, 1)


def test_a_model_that_finds_half_of_what_the_base_finds_has_forgotten_half():
    found = compare_tables(
        build_table(range(20)), build_table(range(0, 20, 2)), ["disc"], Resamples(np.arange(20), 200, 0)
    )
    assert found["base"] == 1
    assert found["finetuned"] == pytest.approx(0.5, abs=0.02)
    assert found["difference_low"] < found["difference"] < found["difference_high"] < 0
    assert (found["images"], found["objects"]) == (20, 20)
    assert found["per_class"]["disc"]["objects"] == 20


def test_without_resamples_the_difference_has_no_bounds():
    none = Resamples(np.arange(20), 0, 0)
    found = compare_tables(build_table(range(20)), build_table(range(10)), ["disc"], none)
    assert found["difference"] < 0
    assert not {"difference_low", "difference_high"} & set(found)


def test_frames_of_one_video_are_drawn_together():
    """Ten frames each of two videos say as much as two images."""
    frames = build_table(range(20)), build_table(range(10))
    apart = compare_tables(*frames, ["disc"], Resamples(np.arange(20), 300, 0))
    videos = compare_tables(*frames, ["disc"], Resamples(np.repeat([0, 1], 10), 300, 0))
    assert videos["difference_low"] < apart["difference_low"] - 0.1


def test_the_guess_is_the_most_probable_of_the_shared_classes():
    shared = find_shared_classes(DATA, BASE, TUNED)
    assert select_shared_guess(np.array([0.2, 0.5, 0.3]), shared.of_first) == 0  # Cat, bus, person
    assert select_shared_guess(np.array([0.3, 0.5, 0.2]), shared.of_first) == 1


def test_guesses_are_compared_image_by_image():
    truth = np.array([0, 0, 0, 1, 1, 1])
    base, tuned = truth.copy(), np.array([0, 0, 0, 1, 0, 0])
    found = compare_guesses((base, tuned), truth, ["person", "cat"], Resamples(np.arange(6), 200, 0))
    assert (found["base"], found["finetuned"], found["images"]) == (1, 0.66667, 6)
    assert found["difference_low"] < found["difference"] == -0.33333 < found["difference_high"]
    assert found["per_class"]["cat"] == {"base": 1, "finetuned": 0.33333, "objects": 3}
    none = compare_guesses((base, tuned), truth, ["person", "cat"], Resamples(np.arange(6), 0, 0))
    assert "difference_low" not in none
