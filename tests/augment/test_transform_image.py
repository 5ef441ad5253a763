"""Pixels and boxes are transformed by independent code: a drawn object must be where its box is."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.augment.affine import build_affine_matrix, clip_boxes, transform_boxes
from pipeline.augment.parameters import AugmentationParameters
from pipeline.augment.transform_image import transform_image

WIDTH, HEIGHT = 160, 120
SHARE = st.floats(0, 1)
UPRIGHT = st.builds(
    AugmentationParameters,
    fliplr=st.booleans(),
    flipud=st.booleans(),
    scale=st.floats(0.5, 1.5),
    crop=st.floats(0, 0.6),
    left=SHARE,
    top=SHARE,
)
ROTATED = st.builds(
    AugmentationParameters,
    fliplr=st.booleans(),
    flipud=st.booleans(),
    rotate=st.floats(-180, 180),
    scale=st.floats(0.5, 1.2),
    crop=st.floats(0, 0.3),
    left=SHARE,
    top=SHARE,
)


@st.composite
def corners(draw):
    """Draw a box one pixel from the image's edge: gray from outside would be blended in."""
    x, y = draw(st.integers(1, WIDTH - 30)), draw(st.integers(1, HEIGHT - 30))
    return x, y, x + draw(st.integers(10, WIDTH - 1 - x)), y + draw(st.integers(10, HEIGHT - 1 - y))


def extent(image):
    """Return x1, y1, x2, y2 of the pixels that are at least half white, or None without such pixels."""
    white = (image[..., 0] >= 128).any(axis=0), (image[..., 0] >= 128).any(axis=1)
    columns, rows = (np.flatnonzero(line) for line in white)
    return (
        np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) if len(rows) and len(columns) else None
    )


def transformed(image, box, parameters):
    moved = transform_boxes(np.array([box], np.float64), build_affine_matrix(parameters, WIDTH, HEIGHT))
    return transform_image(image, parameters, seed=0), clip_boxes(moved, WIDTH, HEIGHT)[0]


@given(corners(), UPRIGHT)
@settings(max_examples=300, deadline=None)
def test_rectangle_stays_within_a_pixel_of_its_box(box, parameters):
    x1, y1, x2, y2 = box
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    image, moved = transformed(image, box, parameters)
    assume((moved[2:] - moved[:2]).min() > 4)  # the enlarged corner of what is thinner fades below half white
    assert np.abs(extent(image) - moved).max() <= 0.6  # half a pixel, and OpenCV's 1/32 pixel interpolation


@given(corners(), ROTATED)
@settings(max_examples=300, deadline=None)
def test_rotated_ellipse_fills_its_box_and_stays_inside(box, parameters):
    x1, y1, x2, y2 = box
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    inside = (columns - (x1 + x2) / 2) ** 2 / (x2 - x1) ** 2 + (rows - (y1 + y2) / 2) ** 2 / (
        y2 - y1
    ) ** 2 <= 0.25
    image = np.where(inside, 255, 0).astype(np.uint8)[..., None].repeat(3, axis=2)
    whole = transform_boxes(np.array([box], np.float64), build_affine_matrix(parameters, WIDTH, HEIGHT))[0]
    image, moved = transformed(image, box, parameters)
    visible = extent(image)
    step = 0.6 + 0.6 * parameters.scale / (
        1 - parameters.crop
    )  # a pixel's half, and the drawn ellipse's own, enlarged
    if visible is not None:
        assert (visible[:2] >= moved[:2] - step).all()
        assert (visible[2:] <= moved[2:] + step).all()
    if np.array_equal(whole, moved):  # what is cut at the image's edge may leave less than its box
        assert np.abs(visible - moved).max() <= step + 1  # the tip of a small ellipse fades below half white


def test_flips_move_pixels_without_changing_them():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    assert np.array_equal(transform_image(image, AugmentationParameters(fliplr=True), 0), image[:, ::-1])
    assert np.array_equal(transform_image(image, AugmentationParameters(flipud=True), 0), image[::-1])
    assert np.array_equal(
        transform_image(image, AugmentationParameters(fliplr=True, flipud=True), 0), image[::-1, ::-1]
    )


def test_rotation_is_clockwise_and_gray_outside_the_source():
    image = np.zeros((101, 101, 3), np.uint8)
    image[:10, 45:56] = 255  # top
    turned = transform_image(image, AugmentationParameters(rotate=90), 0)
    assert turned[50, 95].tolist() == [255] * 3  # right
    assert transform_image(image, AugmentationParameters(rotate=45), 0)[0, 0].tolist() == [114] * 3


@pytest.mark.parametrize(
    ("parameters", "level", "answer"),
    [
        (AugmentationParameters(brightness=0.2), 100, 151),
        (AugmentationParameters(brightness=-0.5), 100, 0),
        (AugmentationParameters(contrast=1.5), 100, 90),  # (100 - 120) * 1.5 + 120
        (
            AugmentationParameters(contrast=0.5, brightness=0.1),
            140,
            156,
        ),  # (140 - 120) * 0.5 + 120 + 25.5 = 155.5
    ],
)
def test_contrast_keeps_the_mean_and_brightness_is_added(parameters, level, answer):
    image = np.full((8, 8, 3), 100, np.uint8)
    image[::2] = 140
    assert (transform_image(image, parameters, 0)[image == level] == answer).all()


def test_blur_has_the_given_standard_deviation():
    image = np.zeros((61, 61, 3), np.uint8)
    image[30, :] = 255
    profile = transform_image(image, AugmentationParameters(blur=3.0), 0)[:, 30, 0].astype(float)
    offsets = np.arange(61) - 30
    assert np.sqrt((profile * offsets**2).sum() / profile.sum()) == pytest.approx(3.0, rel=0.1)


def test_noise_has_the_given_deviation_per_channel_and_depends_on_the_seed():
    image = np.full((200, 200, 3), 128, np.uint8)
    first, again, other = (
        transform_image(image, AugmentationParameters(noise=0.05), seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.reshape(-1, 3).std(axis=0) == pytest.approx([0.05 * 255] * 3, rel=0.03)
    assert first.mean() == pytest.approx(128, abs=0.2)
    assert abs(np.corrcoef(first.reshape(-1, 3).T)[0, 1]) < 0.02


def test_default_parameters_change_no_pixel():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(transform_image(image, AugmentationParameters(), 0), image)


def test_noise_equals_noise_drawn_for_three_channels_at_once():
    image = np.full((31, 47, 3), 128, np.uint8)
    cv2.setRNGSeed(3)
    drawn = np.empty(image.shape, np.int16)
    cv2.randn(drawn, np.zeros(3), np.full(3, 0.05 * 255))
    assert np.array_equal(transform_image(image, AugmentationParameters(noise=0.05), 3), image + drawn)
