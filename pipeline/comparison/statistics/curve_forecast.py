"""Fit a learning curve, score over number of train images, and forecast it with its uncertainty.

By the inverse power law a - b n^-c each doubling of the images brings the same share, 2^-c, of the gain of
the doubling before. Real curves may rise slowly first, or end sooner: in a further family the share itself
falls with each doubling. With three to six sizes many laws fit, so none is chosen: laws are drawn by how well
each fits (Bayes' rule; every share is as likely beforehand, and the power law as likely as all others). Noise
is that of the trainings, by their seeds and choice of images, and that of the test images, which all sizes
share. docs/how-to/learning-curve.md has the simulation by which the intervals were checked.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray

MIN_SIZES: Final = 3
"""Of two, any law fits."""
MIN_TRAININGS: Final = 2
"""Of one training of each size it is not known how far another seed would be."""
MIN_SCORE: Final = 0.05
"""So far above guesses is the score on all images: models that find nothing do not tell how it would rise."""
MAX_TIMES: Final = 4.0
"""Forecasts for more than so many times the images are refused."""
_SHARES: Final = np.linspace(0.1, 1.0, 37)
"""What a doubling may bring of the gain of the doubling before, at the largest number of images."""
_FACTORS: Final = np.array([1.0, *np.linspace(0.3, 0.95, 14)])
"""How this share may change with each doubling; 1 is the power law, which is as likely as all others."""
_LAWS: Final = np.stack(np.meshgrid(_SHARES, _FACTORS, indexing="ij"), axis=-1).reshape(-1, 2)
_LAW_CHANCES: Final = np.tile(np.where(_FACTORS == 1, 0.5, 0.5 / (len(_FACTORS) - 1)), len(_SHARES))
_STEPS: Final = 64
"""Steps of the sum over a curve."""
_NOISE_LEVELS: Final = 40
"""Levels of noise, drawn from what is known of it."""
_LEAST_IMAGE_ERROR: Final = 0.5
"""Standard error of a score by the test images, at least: so many of them."""
_COVERAGE: Final = (0.025, 0.975)


class CurveScores(NamedTuple):
    """The scores of trainings on different numbers of images.

    Attributes:
        images: (sizes,) number of train images, ascending.
        scores: (sizes, trainings) on all test images, 0 to 1.
        drawn: (sizes, resamples) how far the mean of a size's trainings is from that on all test images, in
            resamples of the test images that all sizes share; no resamples where predictions are not known.
        groups: Number of groups of test images with an object, which are resampled as a whole.
        chance: The score of guesses.
    """

    images: FloatArray
    scores: FloatArray
    drawn: FloatArray
    groups: int
    chance: float = 0.0


class CurveLaws(NamedTuple):
    """Laws that fit the scores, drawn so that each is as likely as another.

    Attributes:
        images: The smallest and the largest number of train images.
        first: (draws,) score at the smallest number.
        last: (draws,) score at the largest number.
        laws: (draws, 2) share of a doubling, and its factor, see `_LAWS`.
    """

    images: tuple[float, float]
    first: FloatArray
    last: FloatArray
    laws: FloatArray

    def predict(self, images: float) -> FloatArray:
        """Return the scores (draws,) at a number of images, within 0 and 1."""
        weight = _weigh_first(np.array([images]), self.images, self.laws)[:, 0]
        return np.clip(self.last + (self.first - self.last) * weight, 0.0, 1.0)


class Forecast(NamedTuple):
    """What more images would bring.

    Attributes:
        times: How many times the images.
        images: Number of train images.
        score: The score there.
        gain: Over the largest number that was trained on.
        low: The lower bound of the gain's 95% interval.
        high: The upper bound.
    """

    times: float
    images: int
    score: float
    gain: float
    low: float
    high: float


class ScoreInterval(NamedTuple):
    """The mean score of the trainings on one number of images.

    Attributes:
        mean: On all test images.
        low: The lower bound of its 95% interval, by test images and trainings.
        high: The upper bound.
        spread: Standard deviation between the trainings; None for one.
    """

    mean: float
    low: float
    high: float
    spread: float | None


class _Noise(NamedTuple):
    """What is known of the noise of the mean score of each size.

    Attributes:
        images: (sizes, sizes) covariance by the choice of the test images.
        image_freedom: Degrees of freedom of it.
        trainings: (sizes,) variance by the trainings.
        training_freedom: Degrees of freedom of it; 0 for one training each.
    """

    images: FloatArray
    image_freedom: int
    trainings: FloatArray
    training_freedom: int


def explain_no_forecast(curve: CurveScores) -> str:
    """Return why there is no forecast from these scores, in a sentence; empty if there is one."""
    sizes, trainings = len(np.unique(curve.images)), curve.scores.shape[1]
    if sizes < MIN_SIZES:
        return f"a forecast needs {MIN_SIZES} numbers of images, and this curve has {sizes}"
    if trainings < MIN_TRAININGS:
        return (
            "a forecast needs two trainings or more of each number of images, since it is not known how far "
            "another seed would be: set sweep.seeds=3"
        )
    last = float(curve.scores[-1].mean())
    if last < curve.chance + MIN_SCORE:
        return (
            f"the score on all train images, {last:.3f}, is about that of guesses, and says nothing about "
            "more images: train longer (finetune.epochs), or from other base weights"
        )
    return ""


def fit_learning_curve(curve: CurveScores, *, seed: int, draws: int = 4000) -> CurveLaws:
    """Draw laws that fit the scores.

    Args:
        curve: The scores; `explain_no_forecast` is empty for it.
        seed: Of the draws.
        draws: How many laws.
    """
    rng = np.random.default_rng(seed)
    noise = _measure_noise(curve)
    means, ends = curve.scores.mean(axis=1), (float(curve.images[0]), float(curve.images[-1]))
    first = _weigh_first(curve.images, ends, _LAWS)
    designs = np.stack([first, 1 - first], axis=2)  # (laws, sizes, 2)
    scales = _draw_scales(noise, rng)
    fits = [_fit_laws(designs, means, _build_covariance(noise, scale)) for scale in scales]
    weights = np.stack([fit.weights for fit in fits])  # (levels, laws), logarithms
    chances = np.exp(weights - weights.max()) * _LAW_CHANCES
    picked = rng.choice(chances.size, draws, p=(chances / chances.sum()).ravel())
    levels, places = np.divmod(picked, len(_LAWS))
    errors = _draw_errors(curve, noise, scales[levels], rng)
    solvers = np.stack([fit.solvers for fit in fits])  # (levels, laws, 2, sizes)
    found = np.einsum("dks,ds->dk", solvers[levels, places], means - errors)
    return CurveLaws(ends, found[:, 0], found[:, 1], _LAWS[places])


def forecast_gain(laws: CurveLaws, times: float) -> Forecast:
    """Forecast the score on more images.

    Args:
        laws: Of the curve.
        times: How many times the largest number of images: above 1, at most `MAX_TIMES`.

    Raises:
        ValueError: It is not.
    """
    if not 1 < times <= MAX_TIMES:
        raise ValueError(f"a forecast is for more than 1 and at most {MAX_TIMES:g} times the images")
    images = times * laws.images[1]
    scores, now = laws.predict(images), laws.predict(laws.images[1])
    gains = scores - now
    low, high = np.quantile(gains, _COVERAGE)
    gain, score = float(np.median(gains)), float(np.median(scores))
    return Forecast(times, round(images), score, gain, float(low), float(high))


def measure_sizes(curve: CurveScores, *, seed: int, draws: int = 4000) -> list[ScoreInterval]:
    """Return the mean of each size with its interval, by test images and, if there are several, trainings."""
    rng = np.random.default_rng(seed)
    noise = _measure_noise(curve)
    scales = _draw_scales(noise, rng, draws)
    errors = _draw_errors(curve, noise, scales, rng)
    found = []
    for row, scores in zip(errors.T, curve.scores, strict=True):
        mean = float(scores.mean())
        low, high = (min(1.0, max(0.0, mean + float(bound))) for bound in np.quantile(-row, _COVERAGE))
        spread = float(scores.std(ddof=1)) if len(scores) > 1 else None
        found.append(ScoreInterval(mean, low, high, spread))
    return found


def _weigh_first(images: FloatArray, ends: tuple[float, float], laws: FloatArray) -> FloatArray:
    """Return how much the score at the first end counts (laws, images): 1 there, 0 at the last end."""
    rises = _sum_rises(np.log2(images / ends[1]), laws)
    weights: FloatArray = rises / _sum_rises(np.log2([ends[0] / ends[1]]), laws)
    return weights


def _sum_rises(doublings: FloatArray, laws: FloatArray) -> FloatArray:
    """Return the rise (laws, numbers) over so many doublings, in units of the slope at the largest number."""
    steps = np.outer((np.arange(_STEPS) + 0.5) / _STEPS, doublings)  # the middles of equal steps
    share, factor = np.log(laws).T[:, :, None, None]
    slopes = np.exp(share * steps + factor * steps**2 / 2)
    rises: FloatArray = slopes.mean(axis=1) * doublings
    return rises


def _measure_noise(curve: CurveScores) -> _Noise:
    """Measure both kinds of noise; the variance of few trainings is drawn halfway to that of all sizes."""
    sizes, trainings = curve.scores.shape
    images = np.zeros((sizes, sizes))
    if curve.drawn.shape[1] > 1 and curve.groups > 1:
        images = np.atleast_2d(np.cov(curve.drawn)) * curve.groups / (curve.groups - 1)
    variances = curve.scores.var(axis=1, ddof=1) if trainings > 1 else np.zeros(sizes)
    pooled = (variances + variances.mean()) / 2 / trainings
    if curve.drawn.shape[1] > 1:  # few test images on which all trainings agree would leave no noise
        pooled += np.maximum(0, (_LEAST_IMAGE_ERROR / curve.groups) ** 2 - np.diag(images))
    return _Noise(images, max(1, curve.groups - 1), pooled, sizes * (trainings - 1))


def _draw_scales(noise: _Noise, rng: np.random.Generator, count: int = _NOISE_LEVELS) -> FloatArray:
    """Draw by how much the true variances (count, 2), of test images and trainings, exceed the measured."""
    columns = []
    for freedom in (noise.image_freedom, noise.training_freedom):
        known = rng.chisquare(freedom, count) if freedom else np.ones(count)
        columns.append(max(1, freedom) / known)
    return np.stack(columns, axis=1)


def _build_covariance(noise: _Noise, scale: FloatArray) -> FloatArray:
    floor = 1e-8 * np.eye(len(noise.trainings))  # scores that are all the same leave no noise to divide by
    covariance: FloatArray = scale[0] * noise.images + scale[1] * np.diag(noise.trainings) + floor
    return covariance


def _draw_errors(
    curve: CurveScores, noise: _Noise, scales: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw errors (draws, sizes) of the means: resamples of the test images, and noise of the trainings."""
    count = len(scales)
    own = rng.normal(size=(count, len(noise.trainings))) * np.sqrt(scales[:, 1:] * noise.trainings)
    if not noise.images.any():
        return own
    resamples = rng.integers(0, curve.drawn.shape[1], count)
    stretch = np.sqrt(scales[:, :1] * curve.groups / max(1, curve.groups - 1))
    centered = curve.drawn - curve.drawn.mean(axis=1, keepdims=True)  # mAP of a resample is biased
    errors: FloatArray = own + stretch * centered[:, resamples].T
    return errors


class _LawFits(NamedTuple):
    """The best scores at both ends for each law, at one level of noise.

    Attributes:
        weights: (laws,) logarithm of how likely each is.
        solvers: (laws, 2, sizes) what gives the scores at both ends from the means.
    """

    weights: FloatArray
    solvers: FloatArray


def _fit_laws(designs: FloatArray, means: FloatArray, covariance: FloatArray) -> _LawFits:
    """Fit by generalized least squares; the ends of the curve are integrated out."""
    inverse = np.linalg.inv(covariance)
    weighed = designs.transpose(0, 2, 1) @ inverse  # (laws, 2, sizes)
    normal = weighed @ designs  # (laws, 2, 2)
    determinants = normal[:, 0, 0] * normal[:, 1, 1] - normal[:, 0, 1] ** 2
    adjugates = np.stack([normal[:, 1, ::-1], normal[:, 0, ::-1]], axis=1) * np.array([[1, -1], [-1, 1]])
    solvers = adjugates @ weighed / determinants[:, None, None]
    left = means - (designs @ (solvers @ means)[:, :, None])[:, :, 0]
    squares = ((left @ inverse) * left).sum(axis=1)
    weights = -(squares + np.log(determinants) + np.linalg.slogdet(covariance)[1]) / 2
    return _LawFits(weights, solvers)
