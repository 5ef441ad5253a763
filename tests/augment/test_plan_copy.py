from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment import plan_copy
from pipeline.augment.parameters import AugmentationParameters, AugmentationRanges
from pipeline.augment.plan_copy import CopyRules, draft
from pipeline.dataset.labels import EMPTY, ImageLabels, to_xyxy

STILL = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
WILD = replace(STILL, rotate=180, fliplr=0.5, flipud=0.5, scale=0.8, crop=0.8)
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


def one(labels, *, ranges=WILD, visible=0.3, seed=0, number=1):
    return draft(labels, EXTENT, rules=CopyRules(ranges, visible, seed), source="train/a.png", number=number)


@given(BOXES, st.floats(0, 1), st.integers(0, 10_000))
@settings(deadline=None)
def test_boxes_stay_inside_and_visible_and_every_object_is_accounted_for(rows, visible, seed):
    drawn = one(labels_of(rows), visible=visible, seed=seed)
    assert len(drawn.labels) + drawn.dropped == len(rows)
    boxes = to_xyxy(drawn.labels.boxes, *EXTENT)
    assert (boxes >= -1e-9).all()
    assert (boxes <= np.array([200, 100, 200, 100]) + 1e-9).all()
    assert (boxes[:, 2:] - boxes[:, :2] > 0.48).all()


@given(BOXES, st.integers(0, 10_000))
@settings(deadline=None)
def test_the_same_seed_source_and_number_give_the_same_draft(rows, seed):
    first, again = (one(labels_of(rows), seed=seed) for _ in range(2))
    assert first.recipe == again.recipe
    assert np.array_equal(first.labels.boxes, again.labels.boxes)


def test_seed_and_number_each_change_the_draft():
    recipes = {one(EMPTY, seed=seed, number=number).recipe for seed in (0, 1) for number in (1, 2)}
    assert len(recipes) == 4


@pytest.mark.parametrize(("visible", "kept"), [(0.0, 1), (0.49, 1), (0.51, 0)])
def test_an_object_keeps_its_label_at_the_visible_share(visible, kept):
    half_outside = ImageLabels(np.zeros(1, np.int64), np.array([[0.05, 0.5, 0.1, 0.1]]))
    kept_labels, _ = plan_copy._follow(
        half_outside, EXTENT, one_sided_crop(0.05 * 200), CopyRules(STILL, visible, 0)
    )
    assert len(kept_labels) == kept


def one_sided_crop(pixels):
    return AugmentationParameters(crop=pixels / 200, left=1.0, top=0.5)


def test_with_everything_visible_demanded_flips_keep_every_object():
    edge = labels_of([(0, 0.05, 0.05, 0.1), (1, 0.95, 0.95, 0.1)])  # they touch the image's edges
    assert len(one(edge, ranges=replace(STILL, fliplr=1), visible=1.0).labels) == 2


def test_no_copy_hides_the_last_objects_of_an_image_while_a_part_of_one_can_be_seen():
    wide = ImageLabels(np.zeros(1, np.int64), np.array([[0.5, 0.5, 0.9, 0.9]]))
    crops = replace(STILL, crop=0.9)  # most crops show less than 0.3 of the object
    drawn = [one(wide, ranges=crops, visible=0.3, seed=seed) for seed in range(50)]
    assert all(len(each.labels) == 1 for each in drawn)


def test_where_no_recipe_suits_rotation_scale_and_crop_are_left_out():
    whole = ImageLabels(np.zeros(1, np.int64), np.array([[0.5, 0.5, 1.0, 1.0]]))
    drawn = one(whole, ranges=replace(STILL, crop=0.9, noise=0.1), visible=1.0)
    assert list(drawn.recipe.applied) == ["noise"]
    assert len(drawn.labels) == 1


def test_an_image_may_become_background_where_no_part_of_an_object_is_left():
    corner = labels_of([(0, 0.02, 0.02, 0.02)])
    drawn = [one(corner, ranges=replace(STILL, crop=0.8), seed=seed) for seed in range(20)]
    empty = [each for each in drawn if not len(each.labels)]
    assert empty
    for each in empty:
        cut = each.recipe.crop
        assert cut * each.recipe.left * 200 >= 6 - 1e-3 or cut * each.recipe.top * 100 >= 3 - 1e-3


def test_a_copy_is_no_duplicate_of_its_source():
    seldom = replace(STILL, probability=0.2, rotate=10, noise=0.1)
    assert all(one(EMPTY, ranges=seldom, seed=seed).recipe.applied for seed in range(100))
