"""Plan of one augmented copy: parameters, kept labels, dropped objects."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment.parameters import AugmentationParameters, AugmentationRanges
from pipeline.augment.plan_copy import CopyRules, _transform_visible_labels, plan_copy
from pipeline.dataset.labels import EMPTY_LABELS, ImageLabels, xywhn_to_xyxy

NO_CHANGE = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
STRONG = replace(NO_CHANGE, rotate=180, fliplr=0.5, flipud=0.5, scale=0.8, crop=0.8)
EXTENT = (200, 100)

BOXES = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.02, 0.1)),
    max_size=6,
)


def labels_of(rows):
    return ImageLabels(
        np.array([row[0] for row in rows], np.int64),
        np.array([(x, y, side, side) for _, x, y, side in rows], np.float64).reshape(-1, 4),
    )


def one(labels, *, ranges=STRONG, visible=0.3, seed=0, number=1):
    return plan_copy(
        labels, EXTENT, rules=CopyRules(ranges, visible, seed), source="train/a.png", number=number
    )


@given(BOXES, st.floats(0, 1), st.integers(0, 10_000))
@settings(deadline=None)
def test_boxes_stay_inside_the_image_and_every_object_is_kept_or_dropped(rows, visible, seed):
    drawn = one(labels_of(rows), visible=visible, seed=seed)
    assert len(drawn.labels) + drawn.dropped == len(rows)
    boxes = xywhn_to_xyxy(drawn.labels.boxes, *EXTENT)
    assert (boxes >= -1e-9).all()
    assert (boxes <= np.array([200, 100, 200, 100]) + 1e-9).all()
    assert (boxes[:, 2:] - boxes[:, :2] > 0.48).all()


@given(BOXES, st.integers(0, 10_000))
@settings(deadline=None)
def test_same_seed_source_and_number_give_the_same_plan(rows, seed):
    first, again = (one(labels_of(rows), seed=seed) for _ in range(2))
    assert first.parameters == again.parameters
    assert np.array_equal(first.labels.boxes, again.labels.boxes)


def test_seed_and_number_each_change_the_plan():
    parameters = {
        one(EMPTY_LABELS, seed=seed, number=number).parameters for seed in (0, 1) for number in (1, 2)
    }
    assert len(parameters) == 4


@pytest.mark.parametrize(("visible", "count"), [(0.0, 1), (0.49, 1), (0.51, 0)])
def test_object_keeps_its_label_from_the_visible_share_on(visible, count):
    half_outside = ImageLabels(np.zeros(1, np.int64), np.array([[0.05, 0.5, 0.1, 0.1]]))
    kept_labels, _ = _transform_visible_labels(
        half_outside, EXTENT, one_sided_crop(0.05 * 200), CopyRules(NO_CHANGE, visible, 0)
    )
    assert len(kept_labels) == count


def one_sided_crop(pixels):
    return AugmentationParameters(crop=pixels / 200, left=1.0, top=0.5)


def test_flips_keep_every_object_at_visible_1():
    edge = labels_of([(0, 0.05, 0.05, 0.1), (1, 0.95, 0.95, 0.1)])  # they touch the image's edges
    assert len(one(edge, ranges=replace(NO_CHANGE, fliplr=1), visible=1.0).labels) == 2


def test_copy_with_a_visible_part_keeps_at_least_one_label():
    wide = ImageLabels(np.zeros(1, np.int64), np.array([[0.5, 0.5, 0.9, 0.9]]))
    crops = replace(NO_CHANGE, crop=0.9)  # most crops show less than 0.3 of the object
    drawn = [one(wide, ranges=crops, visible=0.3, seed=seed) for seed in range(50)]
    assert all(len(each.labels) == 1 for each in drawn)


def test_geometric_transforms_are_left_out_if_no_attempt_fits():
    whole = ImageLabels(np.zeros(1, np.int64), np.array([[0.5, 0.5, 1.0, 1.0]]))
    drawn = one(whole, ranges=replace(NO_CHANGE, crop=0.9, noise=0.1), visible=1.0)
    assert list(drawn.parameters.applied) == ["noise"]
    assert len(drawn.labels) == 1


def test_copy_becomes_background_only_without_any_part_of_an_object():
    corner = labels_of([(0, 0.02, 0.02, 0.02)])
    drawn = [one(corner, ranges=replace(NO_CHANGE, crop=0.8), seed=seed) for seed in range(20)]
    empty = [each for each in drawn if not len(each.labels)]
    assert empty
    for each in empty:
        cut = each.parameters.crop
        assert cut * each.parameters.left * 200 >= 6 - 1e-3 or cut * each.parameters.top * 100 >= 3 - 1e-3


@pytest.mark.parametrize(
    "ranges",
    [{"probability": 0.02, "rotate": 10}, {"fliplr": 0.05, "probability": 0}, {"flipud": 0.002}],
)
def test_copy_differs_from_its_source_however_seldom_a_transform_is(ranges):
    seldom = replace(NO_CHANGE, **ranges)
    assert all(one(EMPTY_LABELS, ranges=seldom, seed=seed).parameters.applied for seed in range(60))


@pytest.mark.parametrize(
    ("fliplr", "flipud", "count"), [(0.5, 0.5, 3), (0.9, 0.01, 3), (1, 0.5, 2), (0.2, 0, 1)]
)
def test_copies_that_are_only_flipped_differ_from_each_other(fliplr, flipud, count):
    flips = replace(NO_CHANGE, probability=0, fliplr=fliplr, flipud=flipud)
    for seed in range(20):
        drawn = [one(EMPTY_LABELS, ranges=flips, seed=seed, number=number) for number in range(1, count + 1)]
        assert len({tuple(each.parameters.applied) for each in drawn}) == count


def test_the_likelier_flip_tends_to_come_first():
    flips = replace(NO_CHANGE, probability=0, fliplr=0.9, flipud=0.1)
    drawn = [tuple(one(EMPTY_LABELS, ranges=flips, seed=seed).parameters.applied) for seed in range(200)]
    assert drawn.count(("fliplr",)) > 150


def test_copy_always_differs_from_its_source():
    seldom = replace(NO_CHANGE, probability=0.2, rotate=10, noise=0.1)
    assert all(one(EMPTY_LABELS, ranges=seldom, seed=seed).parameters.applied for seed in range(100))
