"""Rasterized outlines against shapely; IoU of cropped masks against that of whole images."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.geometry.masks import ObjectMask, mask_iou, rasterize_outline

SQUARE = np.array([[2, 1], [6, 1], [6, 5], [2, 5]], float)


def whole(mask, width=40, height=30):
    """Paste a mask into an empty image."""
    image = np.zeros((height, width), bool)
    rows, columns = mask.pixels.shape
    image[mask.top : mask.top + rows, mask.left : mask.left + columns] = mask.pixels
    return image


def test_square_fills_exactly_its_pixels():
    mask = rasterize_outline(SQUARE, (40, 30))
    assert (mask.left, mask.top, mask.pixels.shape) == (2, 1, (4, 4))
    assert mask.pixels.all()


@pytest.mark.parametrize(
    ("outline", "area"),
    [
        pytest.param([[0, 0], [4, 4], [4, 0], [0, 4]], 8, id="a bow tie: empty above and below"),
        pytest.param([[1, 1], [9, 1], [1, 1]], 0, id="a line"),
        pytest.param([[3.2, 3.2], [3.4, 3.2], [3.4, 3.4]], 0, id="between two pixel centers"),
        pytest.param([[-5, -5], [3, -5], [3, 3], [-5, 3]], 9, id="beyond the upper left corner"),
        pytest.param([[38, 28], [99, 28], [99, 99], [38, 99]], 4, id="beyond the lower right corner"),
        pytest.param([[50, 50], [60, 50], [60, 60]], 0, id="outside"),
        pytest.param(  # two squares, connected by a line in both directions
            [[0, 0], [2, 0], [2, 2], [10, 10], [12, 10], [12, 12], [10, 12], [10, 10], [2, 2], [0, 2]],
            8,
            id="two parts",
        ),
        pytest.param(  # the hole has the same orientation as the outer ring
            [[0, 0], [6, 0], [6, 6], [0, 6], [0, 0], [2, 2], [4, 2], [4, 4], [2, 4], [2, 2]], 32, id="a hole"
        ),
    ],
)
def test_rasterized_area_is_as_counted_by_hand(outline, area):
    assert rasterize_outline(np.array(outline, float), (40, 30)).pixels.sum() == area


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_pixel_is_filled_if_its_center_is_inside(seed, corners):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(2, 18, corners)
    outline = np.column_stack([20 + reach * np.cos(angles), 15 + reach * np.sin(angles)])
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    inside = shapely.contains_xy(shapely.Polygon(outline).buffer(0), x, y)
    if shapely.Polygon(outline).is_valid:
        np.testing.assert_array_equal(whole(rasterize_outline(outline, (40, 30))), inside)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_mask_iou_equals_iou_of_whole_images(seed):
    rng = np.random.default_rng(seed)
    first, second = ([some(rng) for _ in range(rng.integers(0, 5))] for _ in range(2))
    found = mask_iou(first, second)
    assert found.shape == (len(first), len(second))
    for row, one in enumerate(first):
        for column, other in enumerate(second):
            shared, union = (whole(one) & whole(other)).sum(), (whole(one) | whole(other)).sum()
            assert found[row, column] == pytest.approx(shared / union if union else 0.0)


def some(rng):
    """Draw a mask of random pixels at a random position."""
    height, width = rng.integers(0, 12, 2)
    return ObjectMask(int(rng.integers(0, 28)), int(rng.integers(0, 18)), rng.random((height, width)) < 0.6)
