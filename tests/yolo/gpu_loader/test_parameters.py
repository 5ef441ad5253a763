from __future__ import annotations

import numpy as np
import pytest

from pipeline.yolo.gpu_loader import parameters
from pipeline.yolo.gpu_loader.parameters import BatchRanges

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


def _draw(ranges, count=4000, seed=0):
    order = np.arange(count) % len(SIZES)
    return parameters.draw(order, SIZES, ranges, np.random.default_rng(seed))


def test_the_same_seed_draws_the_same():
    first, again, other = _draw(ALL), _draw(ALL), _draw(ALL, seed=1)
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not np.array_equal(first.zoom, other.zoom)


def test_chances_are_kept():
    drawn = _draw(ALL)
    means = [drawn.mosaic.mean(), *drawn.flips.mean(axis=0), drawn.bgr.mean()]
    assert means == pytest.approx([0.7, 0.5, 0.2, 0.1], abs=0.03)
    never, always = (
        _draw(BatchRanges(64)),
        _draw(BatchRanges(64, mosaic=1.0, fliplr=1.0, flipud=1.0, bgr=1.0)),
    )
    for name in ("mosaic", "flips", "bgr"):
        assert not getattr(never, name).any()
        assert getattr(always, name).all()


def test_every_image_leads_once_and_the_others_are_any():
    drawn = _draw(ALL)
    assert np.array_equal(drawn.sources[:, 0], np.arange(4000) % 3)
    assert np.bincount(drawn.sources[:, 1:].ravel()) / 12000 == pytest.approx(np.full(3, 1 / 3), abs=0.03)


def test_mosaics_meet_in_the_middle_half():
    centre = _draw(ALL).centre
    assert centre.min() == 32
    assert centre.max() == 95
    assert centre.mean(axis=0) == pytest.approx([63.5, 63.5], abs=1)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_nothing_drawn_centres_the_image(index):
    drawn = _draw(BatchRanges(64))
    middle = drawn.matrix[index] @ [*SIZES[index] / 2, 1]
    assert middle == pytest.approx([32, 32, 1])
    assert drawn.matrix[index][:2, :2] == pytest.approx(np.eye(2))


def test_a_fixed_zoom_is_the_ratio_of_lengths():
    drawn = _draw(BatchRanges(64, scale=(0.5, 0.5), degrees=180.0))
    assert np.linalg.norm(drawn.matrix[:, :2, 0], axis=1) == pytest.approx(np.full(4000, 0.5))
