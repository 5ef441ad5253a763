"""Differences of two models: error, interval and p-value agree with each other and with known answers."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.comparison.statistics.cluster_resamples import resample_groups
from pipeline.comparison.statistics.paired_interval import (
    DifferenceEstimate,
    Evidence,
    estimate_difference,
    estimate_needed_images,
)
from pipeline.comparison.statistics.rare_classes import ClassParts


def means(per_image, resamples):
    """Return the mean of each row of per_image (trainings, images) for each weighting."""
    rows = np.atleast_2d(per_image) @ resamples.weights.T
    return rows / resamples.weights.sum(axis=1)


def estimate(first, second, *, times=4000, groups=None, evidence=None):
    images = np.atleast_2d(first).shape[1]
    resamples = resample_groups(np.arange(images) if groups is None else groups, times, seed=0)
    return estimate_difference(means(first, resamples), means(second, resamples), resamples, evidence)


def test_interval_and_p_value_of_a_mean_are_those_of_the_paired_t_test():
    rng = np.random.default_rng(1)
    first, second = rng.random(200), rng.random(200) + 0.05
    found, expected = estimate(first, second), stats.ttest_rel(second, first)
    assert found.difference == pytest.approx((second - first).mean())
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)
    low, high = expected.confidence_interval()
    assert found.interval == pytest.approx((low, high), abs=0.004)


def test_pairs_that_vary_together_have_a_narrow_interval():
    rng = np.random.default_rng(2)
    shared = rng.random(80)
    found = estimate(shared, shared + 0.02 + 0.001 * rng.normal(size=80))
    low, high = found.interval
    assert 0 < low < 0.02 < high
    assert high - low < 0.001


def test_interval_leaves_out_zero_exactly_where_the_p_value_is_below_five_percent():
    for difference in np.linspace(-3, 3, 41):
        found = DifferenceEstimate(0.0, difference / 100, 1e-4, 0.0, 12.0, 30, 30)
        low, high = found.interval
        assert (found.p_value < 0.05) == (low > 0 or high < 0)


def test_copies_of_images_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    first, second = rng.random(40), rng.random(40)
    groups = np.repeat(np.arange(40), 5)
    single = estimate(first, second)
    copied = estimate(first.repeat(5), second.repeat(5), groups=groups)
    assert copied.error == pytest.approx(single.error, rel=0.05)
    assert estimate(first.repeat(5), second.repeat(5)).error < single.error / 2


def test_equal_models_have_no_difference_and_no_width():
    found = estimate(np.full(20, 0.5), np.full(20, 0.5))
    assert (found.difference, found.p_value, found.interval) == (0, 1, (0, 0))


@pytest.mark.parametrize(("groups", "reach"), [(3, 0.71), (60, 0.06), (400, 0.0092)])
def test_equal_outcomes_of_a_few_groups_do_not_show_that_models_are_equal(groups, reach):
    found = estimate(np.ones(groups), np.ones(groups), times=200, evidence=Evidence(groups, 0))
    assert (found.difference, found.p_value) == (0, 1)
    assert found.interval == (pytest.approx(-reach, rel=0.02), pytest.approx(reach, rel=0.02))


@pytest.mark.parametrize(("groups", "is_shown"), [(3, False), (5, False), (6, True), (20, True)])
def test_few_groups_that_all_agree_show_a_difference_from_six_on(groups, is_shown):
    found = estimate(np.zeros(groups), np.ones(groups))
    assert found.p_value == pytest.approx(2.0 ** (1 - groups), rel=1e-6)
    assert (found.interval[0] > 0) == is_shown


@pytest.mark.parametrize("groups", [21, 40, 2000])
def test_many_groups_that_all_agree_to_the_last_digit_show_a_difference_that_is_not_certain(groups):
    found = estimate(np.ones(groups), np.zeros(groups), times=200)
    low, high = found.interval
    assert 0 < found.p_value < 1e-5
    assert low == -1 < high < -0.4


@pytest.mark.parametrize("images", [200, 400, 1500])
@pytest.mark.parametrize("carried", [3, 4])
def test_a_few_groups_that_agree_among_many_show_nothing(images, carried):
    second = np.zeros(images)
    second[:carried] = 1
    found = estimate(np.zeros(images), second)
    assert found.p_value > 0.05
    assert found.freedom < 4 * carried


@pytest.mark.parametrize("images", [200, 400, 1500])
def test_a_difference_that_many_groups_carry_has_many_degrees_of_freedom(images):
    found = estimate(*np.random.default_rng(8).random((2, images)), times=1000)
    assert found.freedom > 100


@pytest.mark.parametrize("images", [290, 310])
@pytest.mark.parametrize("rare", [1, 2, 3, 4])
def test_a_class_in_few_groups_does_not_show_a_difference_of_the_mean_over_classes(images, rare):
    resamples = resample_groups(np.arange(images), 2000, seed=0)
    rng = np.random.default_rng(9)
    held = np.arange(images) < rare
    sides = []
    for score in (0.0, 1.0):
        common = resamples.weights @ rng.random(images) / resamples.weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            found = resamples.weights @ (held * score) / (resamples.weights @ held)
        sides.append(np.stack([common, found], axis=1)[None])
    parts = ClassParts(sides[0], sides[1], np.stack([np.ones(images, bool), held], axis=1))
    figures = [np.nanmean(side, axis=2) for side in sides]
    found = estimate_difference(figures[0], figures[1], resamples, Evidence(images, parts=parts))
    assert found.difference > 0.4
    assert found.p_value > 0.05
    assert found.interval[0] < 0


@pytest.mark.parametrize(("same", "shown"), [(True, False), (False, True)])
def test_rare_classes_in_the_same_images_are_no_more_evidence_than_one(same, shown):
    """Eight classes in two images each, all of them found by one model alone, beside 20 that are equal."""
    images, equal, rare = 60, 20, 8
    resamples = resample_groups(np.arange(images), 2000, seed=0)
    held = np.ones((images, equal + rare), bool)
    for number in range(rare):
        start = 0 if same else 2 * number
        held[:, equal + number] = (np.arange(images) >= start) & (np.arange(images) < start + 2)
    there = (resamples.weights @ held > 0)[None]
    common = np.where(there, resamples.weights @ np.linspace(0, 1, images)[:, None] / images, np.nan)
    is_equal = np.arange(equal + rare) < equal
    sides = [np.where(is_equal, common, np.where(there, score, np.nan)) for score in (0.0, 1.0)]
    figures = [np.nanmean(side, axis=2) for side in sides]
    found = estimate_difference(
        figures[0], figures[1], resamples, Evidence(images, parts=ClassParts(sides[0], sides[1], held))
    )
    assert (found.p_value < 0.05) is shown


def test_nothing_is_known_of_a_figure_that_rests_on_one_group():
    found = estimate(np.zeros(9), np.ones(9), groups=np.zeros(9, int))
    assert (found.p_value, found.interval) == (1, (-1, 1))


def test_a_difference_that_a_few_groups_carry_has_few_degrees_of_freedom():
    rng = np.random.default_rng(4)
    even = estimate(rng.random(100), rng.random(100))
    second = np.zeros(100)
    second[:3] = [0.5, 0.8, 1.0]
    assert estimate(np.zeros(100), second).freedom < 8
    assert even.freedom > 80


def test_seeds_of_a_training_widen_the_interval_by_the_variance_between_them():
    rng = np.random.default_rng(5)
    shared = rng.random(300)
    offsets = np.array([-0.05, 0.0, 0.05])
    first = shared + offsets[:, None] + 0.001 * rng.normal(size=(3, 300))
    second = shared + offsets[:, None] + 0.001 * rng.normal(size=(3, 300))
    pooled = estimate(first, second, times=500)
    assert pooled.error == pytest.approx(math.sqrt(2 * 0.05**2 / 3), rel=0.02)
    assert pooled.freedom == pytest.approx(4, abs=0.2)
    assert estimate(first[0], second[0], times=500).error < pooled.error / 50


def test_a_single_training_is_taken_to_vary_as_the_others_seeds_do():
    shared = np.random.default_rng(6).random(50)
    offsets = np.array([-0.05, 0.0, 0.05])
    pooled = estimate(shared + offsets[:, None], shared[None], times=300)
    assert pooled.error == pytest.approx(math.sqrt(0.05**2 / 3 + 0.05**2), rel=0.02)
    assert pooled.freedom == pytest.approx(2, abs=0.1)  # one variance, of three trainings


def test_two_single_trainings_are_taken_to_vary_as_the_seeds_of_further_models_do():
    shared = np.random.default_rng(6).random(50)
    spread, narrow = np.array([-0.05, 0.0, 0.05]), np.array([-0.01, 0.01])
    resamples = resample_groups(np.arange(50), 300, seed=0)
    others = [means(shared + offsets[:, None], resamples) for offsets in (spread, narrow, np.zeros(1))]
    found = estimate(shared, shared, times=300, evidence=Evidence(50, others=others))
    variance = (2 * 0.05**2 + 0.02**2 / 2) / 3
    assert found.seed_variance == pytest.approx(2 * variance, rel=0.02)
    assert found.freedom == pytest.approx(3, abs=0.1)
    own = Evidence(50, others=others[:1])
    pooled = estimate(shared + narrow[:, None], shared, times=300, evidence=own)
    assert pooled.seed_variance == pytest.approx(1.5 * 0.02**2 / 2, rel=0.02)  # the pair's own seeds


@pytest.mark.parametrize("images", [8, 50, 400])
def test_needed_images_have_a_power_of_eighty_percent(images):
    found = estimate(*np.random.default_rng(7).random((2, images)))
    times = estimate_needed_images(found, images) / images
    freedom = found.freedom * times
    shift = abs(found.difference) / math.sqrt(found.image_variance / times)
    power = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, shift)
    assert power == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("freedom", [1, 2, 5, 20, 1000])
@pytest.mark.parametrize("seeds", [0.0, 0.1])
def test_a_difference_that_is_not_quite_shown_needs_more_images_than_there_are(freedom, seeds):
    error = 0.1 / stats.t.ppf(0.9749, freedom)
    found = DifferenceEstimate(0.5, 0.6, error**2 * (1 - seeds), error**2 * seeds, freedom, 55, 55)
    assert found.p_value > 0.05
    assert estimate_needed_images(found, 55) > 56


def test_no_number_of_images_is_enough_where_seeds_move_the_figure_as_much():
    found = DifferenceEstimate(0.5, 0.51, 1e-5, 1e-4, 5.0, 50, 50)
    assert estimate_needed_images(found, 50) == math.inf
    assert estimate_needed_images(found._replace(second=0.5), 50) == math.inf
