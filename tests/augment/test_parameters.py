"""Random parameters of augmented copies: ranges, probabilities, seeds."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment.parameters import (
    AugmentationParameters,
    AugmentationRanges,
    derive_copy_seed,
    draw_parameters,
)

RANGES = AugmentationRanges(
    probability=0.5,
    rotate=30,
    fliplr=0.5,
    flipud=0.2,
    brightness=0.2,
    contrast=0.3,
    blur=2,
    noise=0.1,
    scale=0.4,
    crop=0.25,
)
SEEDS = range(4000)
LIMITS = {
    "rotate": (-30, 30),
    "scale": (0.6, 1.4),
    "crop": (0, 0.25),
    "left": (0, 1),
    "top": (0, 1),
    "contrast": (0.7, 1.3),
    "brightness": (-0.2, 0.2),
    "blur": (0, 2),
    "noise": (0, 0.1),
}


@pytest.fixture(scope="module")
def drawn():
    return [draw_parameters(RANGES, seed).applied for seed in SEEDS]


@pytest.mark.parametrize("name", LIMITS)
def test_values_are_uniform_in_their_range(drawn, name):
    low, high = LIMITS[name]
    values = [one[name] for one in drawn if name in one]
    assert low <= min(values) < low + 0.01 * (high - low)
    assert high >= max(values) > high - 0.01 * (high - low)
    assert sum(values) / len(values) == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


@pytest.mark.parametrize(
    ("name", "chance"), [("rotate", 0.5), ("noise", 0.5), ("crop", 0.5), ("fliplr", 0.5), ("flipud", 0.2)]
)
def test_transforms_have_the_common_probability_and_flips_their_own(drawn, name, chance):
    assert sum(name in one for one in drawn) / len(drawn) == pytest.approx(chance, abs=0.03)


@given(st.integers(0, 2**48 - 1))
@settings(deadline=None)
def test_parameters_can_be_rebuilt_from_their_applied_values(seed):
    parameters = draw_parameters(RANGES, seed)
    assert AugmentationParameters(**parameters.applied) == parameters == draw_parameters(RANGES, seed)


@given(st.integers(0, 2**48 - 1))
@settings(deadline=None)
def test_switching_one_transform_off_keeps_the_values_of_the_others(seed):
    with_blur, without = (
        draw_parameters(RANGES, seed),
        draw_parameters(replace(RANGES, blur=0, fliplr=0), seed),
    )
    assert asdict(without) == {**asdict(with_blur), "blur": 0.0, "fliplr": False}


def test_zero_ranges_change_nothing():
    still = AugmentationRanges(1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert draw_parameters(still, 3).applied == {}


def test_each_copy_and_attempt_has_its_own_seed():
    seeds = {
        derive_copy_seed(seed, source, number, attempt)
        for seed in (0, 1)
        for source in ("train/a.jpg", "train/b.jpg")
        for number in (1, 2, 11)
        for attempt in (0, 1)
    }
    assert len(seeds) == 24
    assert max(seeds) < 2**48


def test_seeds_and_values_do_not_change_between_versions():
    assert derive_copy_seed(0, "train/a.jpg", 1) == 189453070619120
    assert draw_parameters(RANGES, 5).applied == {"contrast": 0.832059, "brightness": 0.079855}
