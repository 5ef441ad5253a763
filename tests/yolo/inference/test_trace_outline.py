"""Outlines of masks: along the edges of the pixels, and never less than a polygon."""

import cv2
import numpy as np
import pytest

from pipeline.core.geometry.masks import ObjectMask, mask_iou, rasterize_outline
from pipeline.yolo.inference.masks import trace_outline

SIZE = (60, 60)


def draw(shape):
    pixels = np.zeros((40, 40), np.uint8)
    if shape == "diagonal":
        pixels[np.arange(12), np.arange(12)] = 1
    elif shape == "bent line":
        cv2.polylines(pixels, [np.array([[2, 3], [30, 8], [20, 35]])], False, 1)
    elif shape == "disc":
        cv2.circle(pixels, (20, 20), 17, 1, -1)
    else:
        pixels[5:9, 7:30] = 1
    return ObjectMask(10, 15, pixels > 0)


@pytest.mark.parametrize(
    ("shape", "least", "most"),
    [("diagonal", 1, 50), ("bent line", 1, 200), ("disc", 0.95, 40), ("bar", 1, 4)],
)
def test_a_filled_outline_is_the_mask(shape, least, most):
    mask = draw(shape)
    outline = trace_outline(mask)
    assert 4 <= len(outline) <= most
    assert mask_iou([rasterize_outline(outline, SIZE)], [mask])[0, 0] >= least


def test_small_masks_of_any_pixels_have_the_extent_of_their_largest_piece():
    rng = np.random.default_rng(0)
    for _ in range(300):
        pixels = rng.random(rng.integers(1, 6, 2)) < 0.6
        pixels[0, 0] = True
        count, pieces = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=8)
        outline = trace_outline(ObjectMask(4, 7, pixels))
        assert len(outline) >= 3
        extents = []
        for piece in range(1, count):
            rows, columns = np.nonzero(pieces == piece)
            extents.append([4 + columns.min(), 7 + rows.min(), 5 + columns.max(), 8 + rows.max()])
        assert [*outline.min(axis=0), *outline.max(axis=0)] in extents
