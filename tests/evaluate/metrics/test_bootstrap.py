"""Bootstrap intervals: seeded, around the value, narrower with more images."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.bootstrap import (
    compute_interval,
    compute_map_intervals,
    number_groups,
    resample_images,
)
from pipeline.evaluate.metrics.matching import build_detection_table


def split(images, *, seed=0, found=0.7):
    """Draw images of one to four squares of two classes, each found with some chance, and false alarms."""
    rng = np.random.default_rng(seed)
    truths, seen = [], []
    for _ in range(images):
        count = rng.integers(1, 5)
        corners = rng.uniform(0, 80, (count, 2))
        boxes, classes = np.hstack([corners, corners + 20]), rng.integers(0, 2, count)
        hit = rng.random(count) < found
        moved = boxes[hit] + rng.normal(0, 1.5, (hit.sum(), 4))
        invented = np.array([[200.0, 200.0, 220.0, 220.0]])
        truths.append(GroundTruth(boxes, classes))
        seen.append(
            Detections(
                np.vstack([moved, invented]),
                rng.random(hit.sum() + 1),
                np.append(classes[hit], rng.integers(2)),
            )
        )
    return truths, seen


def test_resample_draws_as_many_images_as_the_split_has():
    drawn = resample_images(np.arange(7), 50, seed=3)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert len(np.unique(drawn, axis=0)) > 40


def test_same_seed_gives_same_interval_and_another_seed_another():
    table = build_detection_table(*split(20), 2)
    first = compute_map_intervals(table, np.arange(len(table.objects)), times=100, seed=1)
    assert compute_map_intervals(table, np.arange(len(table.objects)), times=100, seed=1) == first
    assert compute_map_intervals(table, np.arange(len(table.objects)), times=100, seed=2) != first


@pytest.mark.parametrize("name", ["mAP50-95", "mAP50"])
def test_interval_contains_the_value_and_narrows_with_more_images(name):
    few = compute_map_intervals(build_detection_table(*split(15), 2), np.arange(15), times=400, seed=0)[name]
    many = compute_map_intervals(build_detection_table(*split(240), 2), np.arange(240), times=400, seed=0)[
        name
    ]
    for interval in (few, many):
        assert interval.low < interval.value < interval.high
    assert many.high - many.low < (few.high - few.low) / 2  # 16 times the images: about a quarter


def test_interval_equals_percentiles_over_copied_images():
    truths, seen = split(12)
    drawn = resample_images(np.arange(12), 60, seed=5)
    copied = [
        compute_mean_ap(compute_average_precisions(build_detection_table(*zip(*chosen, strict=True), 2)))[0]
        for weights in drawn
        for chosen in [[(truths[i], seen[i]) for i in range(12) for _ in range(weights[i])]]
    ]
    interval = compute_map_intervals(build_detection_table(truths, seen, 2), np.arange(12), times=60, seed=5)[
        "mAP50-95"
    ]
    assert [interval.low, interval.high] == pytest.approx(np.percentile(copied, [2.5, 97.5]))


def test_without_resamples_there_are_no_bounds():
    table = build_detection_table(*split(10), 2)
    interval = compute_map_intervals(table, np.arange(10), times=0, seed=0)["mAP50"]
    assert (interval.low, interval.high) == (None, None)
    assert interval.name_bounds("mAP50") == {"mAP50": interval.value}


def test_bounds_can_be_rounded():
    named = compute_interval(0.123456, np.array([0.1, 0.15]), groups=9).name_bounds("top1", 2)
    assert named == {"top1": 0.12, "top1_low": 0.1, "top1_high": 0.15}


def test_resamples_without_objects_are_left_out():
    found = Detections(np.array([[0.0, 0.0, 9.0, 9.0]]), np.array([0.9]), np.array([0]))
    nothing = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64))
    table = build_detection_table([GroundTruth(found.boxes, found.classes), nothing], [found, found], 1)
    interval = compute_map_intervals(table, np.arange(len(table.objects)), times=200, seed=0)["mAP50"]
    assert interval.low > 0  # half of the resamples would have had an object; a quarter would have been zero


@pytest.mark.parametrize(("images", "low"), [(1, 0.025), (5, 0.478), (100, 0.964)])
def test_interval_of_perfect_predictions_says_what_was_not_seen(images, low):
    """Of n right outcomes, the exact 95% interval (Clopper and Pearson 1934) begins at 0.025^(1/n)."""
    truths, _ = split(images)
    seen = [Detections(truth.boxes, np.full(len(truth.boxes), 0.9), truth.classes) for truth in truths]
    table = build_detection_table(truths, seen, 2)
    interval = compute_map_intervals(table, np.arange(images), times=50, seed=0)["mAP50-95"]
    assert (interval.low, interval.value, interval.high) == pytest.approx((low, 1, 1), abs=1e-3)


def test_differences_without_spread_have_room_on_both_sides():
    interval = compute_interval(0.0, np.zeros(20), groups=5, limits=(-1.0, 1.0))
    assert interval.low == -interval.high == pytest.approx(0.025**0.2 - 1)


def test_groups_are_drawn_as_a_whole():
    groups = number_groups(["a", "b", "a", "c", "b", "a"])
    assert groups.tolist() == [0, 1, 0, 2, 1, 0]
    drawn = resample_images(groups, 40, seed=1)
    assert (drawn[:, 0] == drawn[:, 2]).all()
    assert (drawn[:, 0] == drawn[:, 5]).all()
    assert (drawn[:, 1] == drawn[:, 4]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_copies_of_images_do_not_narrow_an_interval():
    truths, seen = split(20)
    once = build_detection_table(truths, seen, 2)
    copied = build_detection_table(truths * 9, seen * 9, 2)
    alone = compute_map_intervals(once, np.arange(20), times=300, seed=0)["mAP50"]
    grouped = compute_map_intervals(copied, np.tile(np.arange(20), 9), times=300, seed=0)["mAP50"]
    apart = compute_map_intervals(copied, np.arange(180), times=300, seed=0)["mAP50"]
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)
    assert apart.high - apart.low < 0.5 * (grouped.high - grouped.low)
