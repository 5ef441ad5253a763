"""The image size by the size of objects: enough pixels for nine of ten, and no more than the images have."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.finetune.automatic.image_size import (
    IMAGE_SIZES,
    choose_classify_size,
    choose_image_size,
    remark_on_classify_size,
)


def objects(small: float, large: float = 0.5) -> np.ndarray:
    """Shares of 100 objects, a fifth of them small: the tenth percentile is `small`."""
    return np.array([small] * 20 + [large] * 80)


@pytest.mark.parametrize(
    ("pixels_of_small", "side", "expected"),
    [
        (160, 1280, 320),  # 40 pixels at 320
        (64, 1280, 320),  # exactly 16 pixels at 320
        (63, 1280, 416),
        (40, 1280, 512),
        (32, 1280, 640),
        (20, 1280, 640),  # 10 pixels at 640: small, but not below one cell
        (16, 1280, 640),
        (15, 1280, 800),
        (12, 1280, 960),
        (8, 1280, 1280),
        (5, 1280, 1280),  # no size is enough
        (16, 4000, 1280),
        (100, 300, 320),  # images of 300 pixels: 320 is their own size, rounded up
        (10, 300, 320),
        (10, 256, 256),
        (18, 480, 480),  # between two of the sizes: the images' own
        (50, 480, 320),
        (5, 28, 64),
    ],
)
def test_the_smallest_size_is_chosen_at_which_nine_of_ten_objects_are_large_enough(
    pixels_of_small, side, expected
):
    found = choose_image_size(objects(pixels_of_small / side), np.array([side, side, side / 2]))
    assert found.pixels == expected
    assert found.pixels % 32 == 0


def test_tiles_are_advised_only_where_no_size_is_enough():
    sides = np.array([3000.0] * 3)
    assert "tiles" in choose_image_size(objects(0.004), sides).reason
    assert "tiles" not in choose_image_size(objects(0.02), sides).reason


def test_one_large_image_among_many_does_not_raise_the_size():
    sides = np.array([320.0] * 95 + [4000.0] * 5)
    assert choose_image_size(objects(0.01), sides).pixels == 320


def test_images_without_objects_get_the_usual_size_or_their_own():
    assert choose_image_size(np.zeros(0), np.array([2000.0])).pixels == 640
    assert choose_image_size(np.zeros(0), np.array([400.0])).pixels == 416


@pytest.mark.parametrize(("side", "expected"), [(4000, 224), (224, 224), (200, 224), (190, 192), (28, 64)])
def test_classify_has_the_usual_size_or_that_of_smaller_images(side, expected):
    assert choose_classify_size(np.array([float(side)])).pixels == expected


def test_more_detail_is_never_given_to_larger_objects():
    chosen = [
        choose_image_size(objects(share), np.array([2000.0])).pixels for share in np.geomspace(0.002, 0.5, 40)
    ]
    assert chosen == sorted(chosen, reverse=True)
    assert {*chosen} == {*IMAGE_SIZES}


@pytest.mark.parametrize(
    ("task", "imgsz", "told"),
    [
        ("classify", 640, True),
        ("classify", 224, False),
        ("classify", "auto", False),
        ("detect", 640, False),
        ("detect", 224, True),
    ],
)
def test_classes_of_images_at_the_size_for_objects_are_remarked_on(task, imgsz, told):
    assert bool(remark_on_classify_size(task, imgsz)) == told
