from collections import Counter

import numpy as np
import pytest

from pipeline.augment import affine, copy_paste
from pipeline.augment.copy_paste import PasteSettings
from pipeline.augment.parameters import AugmentationRanges
from pipeline.core.geometry import polygons
from pipeline.dataset.labels import EMPTY, ImageLabels, around
from pipeline.dataset.manifest import ImageRecord

STILL = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
EXTENT = (100, 80)
SQUARE = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])


def item(number, classes):
    return ImageRecord(f"train/{number}.png", "", "", *EXTENT, classes, "")


def labelled(ring):
    shares = (ring / EXTENT,)
    return ImageLabels(np.array([0]), around(shares), shares)


def moved(x, y=0.0):
    return SQUARE + np.array([x, y])


def test_every_object_is_in_stock_once():
    found = copy_paste.stock([item(0, (1, 0)), item(1, ()), item(2, (1,))])
    assert {cls: [(donor.item.file, donor.number) for donor in donors] for cls, donors in found.items()} == {
        0: [("train/0.png", 1)],
        1: [("train/0.png", 0), ("train/2.png", 0)],
    }


def test_a_class_is_drawn_in_inverse_proportion_to_its_objects():
    rare = PasteSettings(
        1.0, copy_paste.stock([*(item(number, (0, 0, 0)) for number in range(10)), item(10, (1,))])
    )
    drawn = Counter(
        donor.item.classes[donor.number]
        for seed in range(100)
        for donor, _ in copy_paste.candidates(rare, seed)
    )
    assert drawn[0] / drawn[1] == pytest.approx(1 / 30, rel=0.25)


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_copies_get_one_to_three_objects_with_the_chance(chance):
    wanted = Counter(copy_paste.wanted(PasteSettings(chance, {0: ()}), seed) for seed in range(2000))
    assert wanted[0] / 2000 == pytest.approx(1 - chance, abs=0.04)
    assert sum(wanted[count] for count in (1, 2, 3)) == 2000 - wanted[0]
    assert copy_paste.wanted(PasteSettings(1.0, {}), 0) == 0


def test_the_seed_decides_alone():
    some = PasteSettings(1.0, copy_paste.stock([item(number, (number % 3,)) for number in range(20)]))
    assert list(copy_paste.candidates(some, 5)) == list(copy_paste.candidates(some, 5))
    assert list(copy_paste.candidates(some, 5)) != list(copy_paste.candidates(some, 6))


@pytest.mark.parametrize("size", [(100, 80), (50, 40), (400, 300)])
def test_an_object_lands_wholly_inside_at_its_share_of_the_image(size):
    for seed in range(50):
        way = copy_paste.way(SQUARE, (EXTENT, size), STILL, seed)
        there = affine.points(SQUARE, way)
        assert there.min() >= -1e-3
        assert (there <= np.array(size) + 1e-3).all()
        assert np.ptp(there, axis=0) == pytest.approx([0.2 * size[0]] * 2, abs=1e-3)
        assert (np.round(way, 6) == way).all()


def test_an_object_larger_than_the_image_finds_no_room():
    tall = np.array([[40.0, 0], [60, 0], [60, 80], [40, 80]])
    assert copy_paste.way(tall, (EXTENT, (100, 50)), STILL, 0) is None


@pytest.mark.parametrize(
    ("shift", "left"), [((50, 0), 1.0), ((-16, 0), 0.8), ((-13, 0), None), ((0, 0), None)]
)
def test_an_object_may_be_covered_by_three_tenths_at_most(shift, left):
    scene = copy_paste.put(copy_paste.scene(labelled(SQUARE), EXTENT), 1, moved(*shift))
    if left is None:
        assert scene is None
        return
    labels = copy_paste.labels(scene, EXTENT)
    assert scene.left == pytest.approx((left, 1.0))
    assert labels.classes.tolist() == [0, 1]
    assert polygons.region(labels.outlines[0] * EXTENT).area == pytest.approx(left * 400)


def test_what_is_pasted_one_after_the_other_adds_up():
    scene = copy_paste.scene(labelled(SQUARE), EXTENT)
    once = copy_paste.put(scene, 1, moved(-16))
    assert copy_paste.put(once, 1, moved(16)) is None
    assert copy_paste.put(once, 1, moved(-16)) is None  # it would hide the one before


def test_an_object_at_the_edge_is_not_pasted():
    assert copy_paste.uncut(SQUARE, EXTENT)
    assert not copy_paste.uncut(moved(-9.5), EXTENT)
    assert not copy_paste.uncut(moved(70), EXTENT)


def test_a_background_can_get_objects():
    scene = copy_paste.put(copy_paste.scene(EMPTY, EXTENT), 2, SQUARE)
    assert copy_paste.labels(scene, EXTENT).classes.tolist() == [2]
