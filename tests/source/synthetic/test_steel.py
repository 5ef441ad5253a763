"""The demo's pictures: repeatable, exactly labelled, learnable, of every class."""

from collections import Counter

import numpy as np
import pytest

from pipeline.source.synthetic import steel_flaws, steel_surface
from pipeline.source.synthetic.steel import CLASSES, draw
from pipeline.source.synthetic.steel_flaws import FlawSpot

PIXELS = 128
DRAW = {name: getattr(steel_flaws, name) for name in CLASSES}


@pytest.fixture(scope="module")
def drawings():
    return [draw(index, seed=0, pixels=PIXELS) for index in range(150)]


def test_a_drawing_depends_on_its_arguments_alone():
    first, again = draw(3, seed=5, pixels=PIXELS), draw(3, seed=5, pixels=PIXELS)
    assert (first.image == again.image).all()
    assert (first.boxes == again.boxes).all()
    assert (first.image != draw(4, seed=5, pixels=PIXELS).image).any()
    assert (first.image != draw(3, seed=6, pixels=PIXELS).image).any()


def test_pictures_have_none_to_five_flaws_and_cracks_are_the_rarest(drawings):
    numbers = Counter(len(drawing.classes) for drawing in drawings)
    assert set(numbers) == {0, 1, 2, 3, 4, 5}
    assert 5 <= numbers[0] <= 40
    found = Counter(CLASSES[cls] for drawing in drawings for cls in drawing.classes)
    assert set(found) == set(CLASSES)
    assert min(found, key=lambda name: found[name]) == "crack"
    assert found["scratch"] > 2 * found["crack"]


def test_labels_are_sound(drawings):
    for drawing in drawings:
        assert drawing.image.shape == (PIXELS, PIXELS, 3)
        assert drawing.image.dtype == np.uint8
        assert len(drawing.boxes) == len(drawing.classes) == len(drawing.polygons)
        assert (drawing.boxes[:, :2] >= 0).all()
        assert (drawing.boxes[:, 2:] <= PIXELS).all()
        assert (drawing.boxes[:, 2:] - drawing.boxes[:, :2] >= PIXELS / 64).all()
        for box, outline in zip(drawing.boxes, drawing.polygons, strict=True):
            assert (outline >= box[:2] - 1).all()
            assert (outline <= box[2:] + 1).all()


@pytest.mark.parametrize("name", CLASSES)
def test_a_flaw_changes_the_picture_where_its_mask_is_and_nowhere_else(name):
    clean = np.full((3, PIXELS, PIXELS), 130.0)
    for seed in range(20):
        spot = FlawSpot(PIXELS / 2, PIXELS / 2, PIXELS, 0.0)
        flaw = DRAW[name](np.random.default_rng(seed), spot)
        changed = np.abs(flaw.apply(clean) - clean).max(0)
        untouched = flaw.cover == 0
        near = changed[untouched] > 0  # relief reaches one pixel beyond the mask
        assert near.mean() < 0.1
        assert changed[flaw.visible].mean() > 4 * max(changed[untouched].mean(), 0.1)
        assert changed[flaw.visible].max() > 6


def test_a_clean_sheet_is_grey_and_has_a_grain():
    for seed in range(10):
        image, look = steel_surface.sheet(np.random.default_rng(seed), PIXELS)
        assert 90 < image.mean() < 190
        assert np.ptp(image.mean((1, 2))) < 25
        assert image.mean(0).std() > 3
        if look.long > 8:
            across, along = np.abs(np.diff(image[1], axis=0)).mean(), np.abs(np.diff(image[1], axis=1)).mean()
            assert (across > along) == (look.angle < np.pi / 4)


def test_sizes_follow_the_picture(drawings):
    large = [draw(index, seed=0, pixels=256) for index in range(40)]
    shares = [np.median(np.concatenate([d.boxes[:, 2] - d.boxes[:, 0] for d in found]) / d.image.shape[0])
              for found in (drawings, large) for d in found[:1]]  # fmt: skip
    assert shares[0] == pytest.approx(shares[1], rel=0.5)
