"""Affine matrices and boxes against an independent computation of each step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment.affine import (
    build_affine_matrix,
    clip_boxes,
    compute_visible_shares,
    shift_to_pixel_centers,
    transform_box_hulls,
    transform_boxes,
)
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
def cases(draw, parameters_strategy):
    extent = draw(EXTENTS)
    return draw(parameters_strategy), extent, draw(boxes_in(extent))


def transform_reference(points, parameters, extent):
    """Transform points step by step with complex numbers: independent of the matrix code."""
    width, height = extent
    moved = []
    for x, y in points:
        x, y = (width - x if parameters.fliplr else x), (height - y if parameters.flipud else y)
        center = complex(width / 2, height / 2)
        turned = center + (complex(x, y) - center) * parameters.scale * np.exp(
            1j * np.pi * parameters.rotate / 180
        )
        left, top = parameters.crop * width * parameters.left, parameters.crop * height * parameters.top
        window = (1 - parameters.crop) * width, (1 - parameters.crop) * height
        moved.append(((turned.real - left) / window[0] * width, (turned.imag - top) / window[1] * height))
    return np.array(moved)


def extremes(points):
    return [*points.min(axis=0), *points.max(axis=0)]


@given(cases(UPRIGHT))
@settings(deadline=None)
def test_flips_scale_and_crop_transform_a_box_like_its_corners(case):
    parameters, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    corners = transform_reference([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], parameters, extent)
    moved = transform_boxes(boxes, build_affine_matrix(parameters, *extent))
    np.testing.assert_allclose(moved[0], extremes(corners), atol=1e-6 * max(extent))


@given(cases(ANY))
@settings(deadline=None)
def test_rotated_box_is_the_tight_box_around_its_inscribed_ellipse(case):
    parameters, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    angles = np.linspace(0, 2 * np.pi, 721)
    ellipse = zip(
        (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angles),
        (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angles),
        strict=True,
    )
    sampled = np.array(extremes(transform_reference(ellipse, parameters, extent)))
    moved = transform_boxes(boxes, build_affine_matrix(parameters, *extent))[0]
    reach = (sampled[2:] - sampled[:2]).max() + 1
    assert (
        np.abs(moved - sampled) < 1e-4 * reach
    ).all()  # a sample every half degree misses (0.25 deg)^2 / 2
    assert (moved[:2] <= sampled[:2] + 1e-6 * reach).all()
    assert (moved[2:] >= sampled[2:] - 1e-6 * reach).all()


@given(cases(ANY))
@settings(deadline=None)
def test_hull_is_the_tight_box_around_the_transformed_corners(case):
    parameters, extent, boxes = case
    x1, y1, x2, y2 = boxes[0]
    corners = transform_reference([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], parameters, extent)
    hull = transform_box_hulls(boxes, build_affine_matrix(parameters, *extent))
    np.testing.assert_allclose(hull[0], extremes(corners), atol=1e-6 * max(extent))


def test_boxes_are_clipped_and_their_visible_shares_computed():
    boxes = np.array([[10, 10, 30, 30], [-10, 0, 10, 20], [90, 90, 110, 110], [200, 0, 220, 9]], np.float64)
    clipped = clip_boxes(boxes, 100, 100)
    assert clipped[1].tolist() == [0, 0, 10, 20]
    assert compute_visible_shares(boxes, clipped) == pytest.approx([1, 0.5, 0.25, 0])


def test_default_parameters_give_the_identity_matrix():
    assert np.array_equal(build_affine_matrix(AugmentationParameters(), 640, 480), np.eye(3))
    assert np.array_equal(shift_to_pixel_centers(np.eye(3)), np.eye(3))


def test_flip_on_pixel_centers_maps_the_first_pixel_to_the_last():
    flip = shift_to_pixel_centers(build_affine_matrix(AugmentationParameters(fliplr=True), 640, 480))
    assert (flip @ [0, 0, 1]).tolist() == [639, 0, 1]
