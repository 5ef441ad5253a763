"""Copy-paste: choice of donors, placement, labels of covered objects."""

from collections import Counter

import numpy as np
import pytest

from pipeline.augment.affine import transform_points
from pipeline.augment.copy_paste import (
    PasteSettings,
    add_object,
    build_donor_pool,
    build_paste_target,
    build_target_labels,
    draw_paste_count,
    draw_placement,
    is_inside_border,
    iterate_donors,
)
from pipeline.augment.parameters import AugmentationRanges
from pipeline.core.geometry.polygons import build_region
from pipeline.dataset.labels import EMPTY_LABELS, ImageLabels, outlines_to_boxes
from pipeline.dataset.manifest import ImageRecord

NO_CHANGE = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
EXTENT = (100, 80)
SQUARE = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])


def item(number, classes):
    return ImageRecord(f"train/{number}.png", "", "", *EXTENT, classes, "")


def label_outline(ring):
    shares = (ring / EXTENT,)
    return ImageLabels(np.array([0]), outlines_to_boxes(shares), shares)


def shift_square(x, y=0.0):
    return SQUARE + np.array([x, y])


def test_every_object_is_a_donor_once():
    found = build_donor_pool([item(0, (1, 0)), item(1, ()), item(2, (1,))])
    assert {
        cls: [(donor.item.file, donor.object_index) for donor in donors] for cls, donors in found.items()
    } == {
        0: [("train/0.png", 1)],
        1: [("train/0.png", 0), ("train/2.png", 0)],
    }


def test_class_is_drawn_in_inverse_proportion_to_its_objects():
    rare = PasteSettings(
        1.0, build_donor_pool([*(item(number, (0, 0, 0)) for number in range(10)), item(10, (1,))])
    )
    drawn = Counter(
        donor.item.classes[donor.object_index]
        for seed in range(100)
        for donor, _ in iterate_donors(rare, seed)
    )
    assert drawn[0] / drawn[1] == pytest.approx(1 / 30, rel=0.25)


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_copies_get_one_to_three_objects_with_the_given_probability(chance):
    wanted = Counter(draw_paste_count(PasteSettings(chance, {0: ()}), seed) for seed in range(2000))
    assert wanted[0] / 2000 == pytest.approx(1 - chance, abs=0.04)
    assert sum(wanted[count] for count in (1, 2, 3)) == 2000 - wanted[0]
    assert draw_paste_count(PasteSettings(1.0, {}), 0) == 0


def test_donors_depend_on_the_seed_alone():
    some = PasteSettings(1.0, build_donor_pool([item(number, (number % 3,)) for number in range(20)]))
    assert list(iterate_donors(some, 5)) == list(iterate_donors(some, 5))
    assert list(iterate_donors(some, 5)) != list(iterate_donors(some, 6))


@pytest.mark.parametrize("size", [(100, 80), (50, 40), (400, 300)])
def test_object_is_placed_inside_at_its_share_of_the_image(size):
    for seed in range(50):
        matrix = draw_placement(SQUARE, (EXTENT, size), NO_CHANGE, seed)
        there = transform_points(SQUARE, matrix)
        assert there.min() >= -1e-3
        assert (there <= np.array(size) + 1e-3).all()
        assert np.ptp(there, axis=0) == pytest.approx([0.2 * size[0]] * 2, abs=1e-3)
        assert (np.round(matrix, 6) == matrix).all()


def test_object_larger_than_the_image_is_not_placed():
    tall = np.array([[40.0, 0], [60, 0], [60, 80], [40, 80]])
    assert draw_placement(tall, (EXTENT, (100, 50)), NO_CHANGE, 0) is None


@pytest.mark.parametrize(
    ("shift", "left"), [((50, 0), 1.0), ((-16, 0), 0.8), ((-13, 0), None), ((0, 0), None)]
)
def test_object_may_be_covered_by_at_most_30_percent(shift, left):
    target = add_object(build_paste_target(label_outline(SQUARE), EXTENT), 1, shift_square(*shift))
    if left is None:
        assert target is None
        return
    labels = build_target_labels(target, EXTENT)
    assert target.visible_shares == pytest.approx((left, 1.0))
    assert labels.classes.tolist() == [0, 1]
    assert build_region(labels.outlines[0] * EXTENT).area == pytest.approx(left * 400)


def test_covered_shares_of_several_pastes_add_up():
    target = build_paste_target(label_outline(SQUARE), EXTENT)
    once = add_object(target, 1, shift_square(-16))
    assert add_object(once, 1, shift_square(16)) is None
    assert add_object(once, 1, shift_square(-16)) is None  # it would hide the one before


def test_object_at_the_border_is_not_pasted():
    assert is_inside_border(SQUARE, EXTENT)
    assert not is_inside_border(shift_square(-9.5), EXTENT)
    assert not is_inside_border(shift_square(70), EXTENT)


def test_background_image_can_get_objects():
    target = add_object(build_paste_target(EMPTY_LABELS, EXTENT), 2, SQUARE)
    assert build_target_labels(target, EXTENT).classes.tolist() == [2]
