"""The steel demo: repeatable, exactly labeled, with visible flaws of every class."""

from collections import Counter

import numpy as np
import pytest

from pipeline.source.synthetic import steel_flaws
from pipeline.source.synthetic.steel import FLAW_CLASSES, draw_steel_image
from pipeline.source.synthetic.steel_flaws import FlawSpot
from pipeline.source.synthetic.steel_surface import render_steel_surface

PIXELS = 128
DRAW = {name: getattr(steel_flaws, f"draw_{name}") for name in FLAW_CLASSES}


@pytest.fixture(scope="module")
def drawings():
    return [draw_steel_image(index, seed=0, pixels=PIXELS) for index in range(150)]


def test_image_depends_only_on_the_arguments():
    first, again = draw_steel_image(3, seed=5, pixels=PIXELS), draw_steel_image(3, seed=5, pixels=PIXELS)
    assert (first.image == again.image).all()
    assert (first.boxes == again.boxes).all()
    assert (first.image != draw_steel_image(4, seed=5, pixels=PIXELS).image).any()
    assert (first.image != draw_steel_image(3, seed=6, pixels=PIXELS).image).any()


def test_images_have_zero_to_five_flaws_and_cracks_are_rarest(drawings):
    numbers = Counter(len(drawing.classes) for drawing in drawings)
    assert set(numbers) == {0, 1, 2, 3, 4, 5}
    assert 5 <= numbers[0] <= 40
    found = Counter(FLAW_CLASSES[cls] for drawing in drawings for cls in drawing.classes)
    assert set(found) == set(FLAW_CLASSES)
    assert min(found, key=lambda name: found[name]) == "crack"
    assert found["scratch"] > 2 * found["crack"]


def test_labels_are_inside_the_image_and_consistent(drawings):
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


@pytest.mark.parametrize("name", FLAW_CLASSES)
def test_flaw_changes_the_image_only_inside_its_mask(name):
    clean = np.full((3, PIXELS, PIXELS), 130.0)
    for seed in range(20):
        spot = FlawSpot(PIXELS / 2, PIXELS / 2, PIXELS, 0.0)
        flaw = DRAW[name](np.random.default_rng(seed), spot)
        changed = np.abs(flaw.apply(clean) - clean).max(0)
        untouched = flaw.cover == 0
        near = changed[untouched] > 0  # the relief extends one pixel beyond the mask
        assert near.mean() < 0.1
        assert changed[flaw.visible].mean() > 4 * max(changed[untouched].mean(), 0.1)
        assert changed[flaw.visible].max() > 6


def test_clean_sheet_is_gray_with_a_grain():
    for seed in range(10):
        image, finish = render_steel_surface(np.random.default_rng(seed), PIXELS)
        assert 90 < image.mean() < 190
        assert np.ptp(image.mean((1, 2))) < 25
        assert image.mean(0).std() > 3
        if finish.long > 8:
            across, along = np.abs(np.diff(image[1], axis=0)).mean(), np.abs(np.diff(image[1], axis=1)).mean()
            assert (across > along) == (finish.angle < np.pi / 4)


def test_flaw_sizes_scale_with_the_image(drawings):
    large = [draw_steel_image(index, seed=0, pixels=256) for index in range(40)]
    shares = [np.median(np.concatenate([d.boxes[:, 2] - d.boxes[:, 0] for d in found]) / d.image.shape[0])
              for found in (drawings, large) for d in found[:1]]  # fmt: skip
    assert shares[0] == pytest.approx(shares[1], rel=0.5)
