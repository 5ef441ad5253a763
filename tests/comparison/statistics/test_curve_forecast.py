"""The forecast of a learning curve: planted curves are found, and what is not known is not told."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.comparison.statistics.curve_forecast import (
    CurveScores,
    explain_no_forecast,
    fit_learning_curve,
    forecast_gain,
    measure_sizes,
)

IMAGES = np.array([100.0, 200.0, 400.0, 800.0])


def draw(curve, *, spread=0.005, trainings=3, groups=60, seed=0) -> CurveScores:
    """Draw scores around a curve, and resamples of test images that all sizes share."""
    rng = np.random.default_rng(seed)
    truth = np.array([curve(number) for number in IMAGES])
    shared = 0.1 * rng.normal(size=groups)
    own = shared + 0.05 * rng.normal(size=(len(IMAGES), groups))
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=300)
    scores = truth[:, None] + spread * rng.normal(size=(len(IMAGES), trainings))
    drawn = own @ weights.T / groups - own.mean(axis=1)[:, None]
    return CurveScores(IMAGES, scores, drawn, groups)


def rise(images: float) -> float:
    return 0.85 - 0.2 * (images / 800) ** -0.4


@pytest.mark.parametrize("times", [1.5, 2.0, 4.0])
def test_the_gain_of_a_power_law_is_within_its_interval(times):
    found = forecast_gain(fit_learning_curve(draw(rise), seed=0), times)
    assert found.images == times * 800
    assert 0 < found.low < rise(800 * times) - rise(800) < found.high
    assert found.low < found.gain < found.high


def test_a_flat_curve_shows_no_gain():
    found = forecast_gain(fit_learning_curve(draw(lambda _: 0.7), seed=0), 2.0)
    assert found.low < 0 < found.high < 0.05


def test_noisier_trainings_are_known_less_well():
    widths = []
    for spread in (0.002, 0.02):
        found = forecast_gain(fit_learning_curve(draw(rise, spread=spread), seed=0), 2.0)
        widths.append(found.high - found.low)
    assert widths[1] > 1.5 * widths[0]


def test_the_same_scores_give_the_same_forecast():
    first, again = (forecast_gain(fit_learning_curve(draw(rise), seed=1), 2.0) for _ in range(2))
    assert first == again


def test_scores_stay_below_one():
    curve = draw(lambda images: 0.98 - 0.3 * (images / 800) ** -0.2)
    assert forecast_gain(fit_learning_curve(curve, seed=0), 4.0).score <= 1
    assert all(found.high <= 1 for found in measure_sizes(curve._replace(scores=curve.scores + 0.3), seed=0))


@pytest.mark.parametrize("times", [1.0, 4.5])
def test_too_far_is_refused(times):
    laws = fit_learning_curve(draw(rise), seed=0)
    with pytest.raises(ValueError, match="at most 4"):
        forecast_gain(laws, times)


def test_two_sizes_or_one_training_give_no_forecast():
    curve = draw(rise)
    assert not explain_no_forecast(curve)
    assert explain_no_forecast(CurveScores(IMAGES[:2], curve.scores[:2], curve.drawn[:2], 60))
    assert "sweep.seeds" in explain_no_forecast(curve._replace(scores=curve.scores[:, :1]))


def test_models_that_guess_give_no_forecast():
    curve = draw(rise)
    assert "guesses" in explain_no_forecast(curve._replace(scores=0 * curve.scores))
    assert "guesses" in explain_no_forecast(curve._replace(scores=0 * curve.scores + 0.51, chance=0.5))


def test_few_test_images_on_which_all_agree_prove_nothing():
    curve = CurveScores(IMAGES, np.ones((4, 3)) * 0.9, np.zeros((4, 100)), 8)
    found = forecast_gain(fit_learning_curve(curve, seed=0), 2.0)
    assert found.high - found.low > 0.05
    assert all(each.high - each.low > 0.1 for each in measure_sizes(curve, seed=0))


def test_the_interval_of_a_size_has_test_images_and_trainings():
    curve = draw(rise)
    both = measure_sizes(curve, seed=0)
    alone = measure_sizes(curve._replace(drawn=np.zeros((4, 0)), groups=1), seed=0)
    single = measure_sizes(curve._replace(scores=curve.scores[:, :1]), seed=0)
    assert all(wide.high - wide.low > thin.high - thin.low for wide, thin in zip(both, alone, strict=True))
    assert [found.mean for found in both] == pytest.approx(curve.scores.mean(axis=1))
    assert all(found.spread is None for found in single)
