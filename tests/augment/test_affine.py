import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment import affine
from pipeline.augment.affine import on_centres
from pipeline.augment.parameters import AugmentationParameters

SHARE = st.floats(0, 1)
FLIPS = {"fliplr": st.booleans(), "flipud": st.booleans()}
CROPS = {"crop": st.floats(0, 0.9), "left": SHARE, "top": SHARE}
UPRIGHT = st.builds(AugmentationParameters, **FLIPS, **CROPS, scale=st.floats(0.1, 1.9))
ANY = st.builds(
    AugmentationParameters, **FLIPS, **CROPS, scale=st.floats(0.1, 1.9), rotate=st.floats(-180, 180)
)
EXTENTS = st.tuples(st.integers(32, 2000), st.integers(32, 2000))


@st.composite
def boxes_in(draw, extent):
    width, height = extent
    x, y = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
    return np.array([[x, y, draw(st.floats(x + 1, width)), draw(st.floats(y + 1, height))]])


@st.composite
def cases(draw, recipes):
    extent = draw(EXTENTS)
    return draw(recipes), extent, draw(boxes_in(extent))


def follow(points, recipe, extent):
    """Move points by doing one thing after the other in complex numbers: no matrix, nothing shared."""
    width, height = extent
    moved = []
    for x, y in points:
        x, y = (width - x if recipe.fliplr else x), (height - y if recipe.flipud else y)
        centre = complex(width / 2, height / 2)
        turned = centre + (complex(x, y) - centre) * recipe.scale * np.exp(1j * np.pi * recipe.rotate / 180)
        left, top = recipe.crop * width * recipe.left, recipe.crop * height * recipe.top
        window = (1 - recipe.crop) * width, (1 - recipe.crop) * height
        moved.append(((turned.real - left) / window[0] * width, (turned.imag - top) / window[1] * height))
    return np.array(moved)


def extremes(points):
    return [*points.min(axis=0), *points.max(axis=0)]


@given(cases(UPRIGHT))
@settings(deadline=None)
def test_flips_scale_and_crop_move_a_box_as_they_move_its_corners(case):
    recipe, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    corners = follow([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], recipe, extent)
    moved = affine.move(boxes, affine.matrix(recipe, *extent))
    np.testing.assert_allclose(moved[0], extremes(corners), atol=1e-6 * max(extent))


@given(cases(ANY))
@settings(deadline=None)
def test_under_rotation_a_box_is_the_tight_one_around_its_inscribed_ellipse(case):
    recipe, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    angles = np.linspace(0, 2 * np.pi, 721)
    ellipse = zip(
        (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angles),
        (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angles),
        strict=True,
    )
    sampled = np.array(extremes(follow(ellipse, recipe, extent)))
    moved = affine.move(boxes, affine.matrix(recipe, *extent))[0]
    reach = (sampled[2:] - sampled[:2]).max() + 1
    assert (
        np.abs(moved - sampled) < 1e-4 * reach
    ).all()  # a sample every half degree misses (0.25 deg)^2 / 2
    assert (moved[:2] <= sampled[:2] + 1e-6 * reach).all()
    assert (moved[2:] >= sampled[2:] - 1e-6 * reach).all()


@given(cases(ANY))
@settings(deadline=None)
def test_the_hull_is_the_tight_box_around_the_moved_corners(case):
    recipe, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    corners = follow([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], recipe, extent)
    hull = affine.hull(boxes, affine.matrix(recipe, *extent))
    np.testing.assert_allclose(hull[0], extremes(corners), atol=1e-6 * max(extent))


def test_clipped_boxes_and_the_share_that_is_left():
    boxes = np.array([[10, 10, 30, 30], [-10, 0, 10, 20], [90, 90, 110, 110], [200, 0, 220, 9]], np.float64)
    clipped = affine.clip(boxes, 100, 100)
    assert clipped[1].tolist() == [0, 0, 10, 20]
    assert affine.shares(boxes, clipped) == pytest.approx([1, 0.5, 0.25, 0])


def test_nothing_drawn_moves_nothing():
    assert np.array_equal(affine.matrix(AugmentationParameters(), 640, 480), np.eye(3))
    assert np.array_equal(on_centres(np.eye(3)), np.eye(3))


def test_on_centres_a_flip_takes_the_first_pixel_to_the_last():
    flip = on_centres(affine.matrix(AugmentationParameters(fliplr=True), 640, 480))
    assert (flip @ [0, 0, 1]).tolist() == [639, 0, 1]
