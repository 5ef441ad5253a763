"""Distributions of the GPU loader's random parameters."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.yolo.gpu_loader.parameters import BatchRanges, draw_parameters

SIZES = np.array([[64, 48], [32, 64], [64, 64]])
ALL = BatchRanges(
    64,
    mosaic=0.7,
    scale=(0.5, 1.5),
    gains=(0.015, 0.7, 0.4),
    degrees=10.0,
    translate=0.1,
    shear=5.0,
    perspective=0.0005,
    fliplr=0.5,
    flipud=0.2,
    bgr=0.1,
)


def _draw_many(ranges, count=4000, seed=0):
    order = np.arange(count) % len(SIZES)
    return draw_parameters(order, SIZES, ranges, np.random.default_rng(seed))


def test_same_seed_draws_the_same_parameters():
    first, again, other = _draw_many(ALL), _draw_many(ALL), _draw_many(ALL, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first.scale, other.scale)


def test_probabilities_are_as_configured():
    drawn = _draw_many(ALL)
    means = [drawn.mosaic.mean(), *drawn.flips.mean(axis=0), drawn.bgr.mean()]
    assert means == pytest.approx([0.7, 0.5, 0.2, 0.1], abs=0.03)
    never, always = (
        _draw_many(BatchRanges(64)),
        _draw_many(BatchRanges(64, mosaic=1.0, fliplr=1.0, flipud=1.0, bgr=1.0)),
    )
    for name in ("mosaic", "flips", "bgr"):
        assert not getattr(never, name).any()
        assert getattr(always, name).all()


def test_each_image_comes_first_once_and_the_others_are_random():
    drawn = _draw_many(ALL)
    assert np.array_equal(drawn.sources[:, 0], np.arange(4000) % 3)
    assert np.bincount(drawn.sources[:, 1:].ravel()) / 12000 == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_mosaic_centers_are_in_the_middle_half():
    center = _draw_many(ALL).center
    assert center.min() == 32
    assert center.max() == 95
    assert center.mean(axis=0) == pytest.approx([63.5, 63.5], abs=1)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_without_ranges_the_image_is_centered(index):
    drawn = _draw_many(BatchRanges(64))
    middle = drawn.matrix[index] @ [*SIZES[index] / 2, 1]
    assert middle == pytest.approx([32, 32, 1])
    assert drawn.matrix[index][:2, :2] == pytest.approx(np.eye(2))


def test_fixed_scale_is_the_ratio_of_lengths():
    drawn = _draw_many(BatchRanges(64, scale=(0.5, 0.5), degrees=180.0))
    assert np.linalg.norm(drawn.matrix[:, :2, 0], axis=1) == pytest.approx(np.full(4000, 0.5))
