"""The difference of two models on the same images: its standard error, 95% interval and p-value.

The standard error is that of the paired bootstrap. Percentiles of the resamples are too narrow where a few
images decide, so the interval uses Student's t, with fewer degrees of freedom if few groups of images carry
the difference. docs/decisions/comparison.md has the simulation by which this was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.statistics.cluster_resamples import ClusterResamples
from pipeline.comparison.statistics.rare_classes import ClassParts, measure_class_variance
from pipeline.comparison.statistics.student_t import compute_two_sided_p, find_two_sided_quantile
from pipeline.core.arrays import FloatArray

SIGNIFICANCE: Final = 0.05
"""A difference is shown where its p-value is below; the interval then leaves out 0."""
POWER: Final = 0.8
"""With which the needed images would show a difference at `SIGNIFICANCE`."""
MAX_NEEDED: Final = 1e9
"""More images than this are never needed: no number is enough then."""

MAX_SIGN_GROUPS: Final = 20
"""With more groups, the variance between them tells enough, if there is any."""
MIN_VARYING_SHARE: Final = 1e-9
"""Of a difference: resamples that vary by less differ by rounding alone."""
MIN_P_VALUE: Final = 1e-100
"""Smaller ones are not told apart, as where hundreds of groups agree."""


class DifferenceEstimate(NamedTuple):
    """The difference of one figure of two models, second less first.

    Attributes:
        first: The first model's figure, the mean of its trainings.
        second: The second model's.
        image_variance: Of the difference, by the choice of the test images.
        seed_variance: Of the difference, by the seeds of the trainings; 0 where no model has several.
        freedom: Degrees of freedom of both together.
        groups: Number of groups of images that the figure rests on.
        decisive: Number of groups on which the models can differ; 0 where all outcomes are equal.
    """

    first: float
    second: float
    image_variance: float
    seed_variance: float
    freedom: float
    groups: int
    decisive: int

    @property
    def difference(self) -> float:
        """The second figure less the first."""
        return self.second - self.first

    @property
    def error(self) -> float:
        """Standard error of the difference.

        Two models that are as good as each other differ in the same direction on all of n groups with
        probability 2^(1-n): the error is at least one that gives this p-value. It matters where a few groups
        agree, between which there is little or no variance, and where all groups agree to the last digit,
        as with a class that one model always finds, and the other one never.
        """
        found = math.sqrt(self.image_variance + self.seed_variance)
        varies = found > MIN_VARYING_SHARE * abs(self.difference)
        if (
            not self.difference
            or found >= abs(self.difference)
            or (varies and self.decisive > MAX_SIGN_GROUPS)
        ):
            return found
        floor = min(0.9, max(MIN_P_VALUE, 2.0 ** (1 - self.decisive)))
        return max(found, abs(self.difference) / find_two_sided_quantile(floor, self.freedom))

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the difference; 1 where there is none, or too little to tell."""
        if self.groups < 2 or not self.difference:
            return 1.0
        return compute_two_sided_p(self.difference / self.error, self.freedom)

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the 95% interval, in [-1, 1], which is the answer where there is too little to tell.

        Of n groups that all have equal outcomes, a share x of others may exist as long as (1 - x)^n is not
        below 2.5% ("rule of three").
        """
        if self.groups < 2:
            return -1.0, 1.0
        if not self.decisive:
            reach = 1 - (SIGNIFICANCE / 2) ** (1 / self.groups)
        else:
            reach = find_two_sided_quantile(SIGNIFICANCE, self.freedom) * self.error
        return max(-1.0, self.difference - reach), min(1.0, self.difference + reach)


class Evidence(NamedTuple):
    """What a figure rests on.

    Attributes:
        groups: Number of groups of images.
        decisive: Number of groups on which the models can differ; `groups` by default.
        parts: The values of the classes, of a figure that is their mean.
        others: The values (trainings, weightings) of further models, which tell how much a figure varies with
            the seed where the two models have one training each.
    """

    groups: int
    decisive: int | None = None
    parts: ClassParts | None = None
    others: Sequence[FloatArray] = ()


class _Spread(NamedTuple):
    """How a model's figure varies with the seed of its training.

    Attributes:
        variance: Between trainings, on the same images; nan with one training.
        shared: The part of it that the image variance of their mean already has.
        trainings: How many.
    """

    variance: float
    shared: float
    trainings: int


def estimate_difference(
    first: FloatArray,
    second: FloatArray,
    resamples: ClusterResamples,
    evidence: Evidence | None = None,
) -> DifferenceEstimate:
    """Estimate the difference of a figure, from its values for each weighting of the images.

    Args:
        first: (trainings, weightings) of the first model; nan where the figure is undefined.
        second: (trainings, weightings) of the second model.
        resamples: The weightings.
        evidence: What the figure rests on; all groups by default.
    """
    count, decisive, parts, others = evidence or Evidence(resamples.group_count)
    differences = second.mean(axis=0) - first.mean(axis=0)
    image_variance = _estimate_image_variance(differences[1 : 1 + resamples.times], count)
    freedom = _estimate_freedom(differences, resamples, count)
    if parts is not None:
        classes = measure_class_variance(parts, resamples.times)
        image_variance = max(image_variance, classes.variance)
        freedom = min(freedom, image_variance**2 / classes.terms) if classes.terms else freedom
    spreads = [_measure_spread(values, resamples.times, count) for values in (first, second, *others)]
    seed_variance, seed_terms = _combine_spreads(spreads[:2], spreads[2:])
    total = image_variance + seed_variance
    terms = image_variance**2 / freedom + seed_terms
    return DifferenceEstimate(
        float(first[:, 0].mean()),
        float(second[:, 0].mean()),
        image_variance,
        seed_variance,
        total**2 / terms if terms > 0 else freedom,
        count,
        count if decisive is None else decisive,
    )


def estimate_needed_images(estimate: DifferenceEstimate, images: int) -> float:
    """Return how many images would show a difference as large as the one measured, with a power of 80%.

    Returns:
        The number; infinite where the difference is 0, or where no number of images is enough, since the
        seeds of the trainings alone move the figure as much.
    """
    low, high = float(images), MAX_NEEDED
    if not estimate.difference or not _is_shown_by(high / images, estimate):
        return math.inf
    for _ in range(24):  # to five digits
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _is_shown_by(middle / images, estimate) else (middle, high)
    return max(images + 1.0, high)


def _is_shown_by(times: float, estimate: DifferenceEstimate) -> bool:
    """Tell whether a number of images, as a multiple of the present one, would show the difference.

    Its standard errors must be the quantiles of Student's t for `SIGNIFICANCE` and `POWER` together. The
    degrees of freedom grow with the images, but not where seeds have a part in them.
    """
    freedom = estimate.freedom * (1 if estimate.seed_variance else times)
    factor = sum(find_two_sided_quantile(p, freedom) for p in (SIGNIFICANCE, 2 * (1 - POWER)))
    image_variance = (estimate.error**2 - estimate.seed_variance) / times
    return abs(estimate.difference) >= factor * math.sqrt(image_variance + estimate.seed_variance)


def _estimate_image_variance(drawn: FloatArray, groups: int) -> float:
    """Return the variance between resamples; groups / (groups - 1) times it is unbiased for a mean."""
    known = drawn[~np.isnan(drawn)]
    if len(known) < 2 or groups < 2:
        return 0.0
    return float(known.var(ddof=1)) * groups / (groups - 1)


def _estimate_freedom(differences: FloatArray, resamples: ClusterResamples, groups: int) -> float:
    """Return the degrees of freedom of the image variance: few where a few groups carry most of it.

    The variance of n influences is known as well as that of 2 n / (kurtosis - 1) normal values. An influence
    is what a figure changes by without the group or, where no group is left out, its covariance with how
    often the group is drawn.

    Args:
        differences: (weightings,).
        resamples: The weightings.
        groups: Number of groups that the figure rests on.
    """
    most = float(max(1, groups - 1))
    left_out = differences[1 + resamples.times :]
    known = left_out[~np.isnan(left_out)]
    if not len(known) and resamples.group_count > 1:
        concentration = _measure_concentration(differences[1 : 1 + resamples.times], resamples)
        return min(most, max(1.0, 2 / max(concentration - 1 / resamples.group_count, 1e-9)))
    squares = (known - known.mean()) ** 2 if len(known) else known
    if not squares.any():
        return most
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    return min(most, max(1.0, 2 * len(known) / max(kurtosis - 1, 1e-9)))


def _measure_concentration(drawn: FloatArray, resamples: ClusterResamples) -> float:
    """Return the kurtosis of the influences of all groups by their number, from resamples (times,).

    A covariance from B resamples has an error whose variance is that of the figure by B. What it adds to the
    sums of squares and of fourth powers is taken off.
    """
    known = ~np.isnan(drawn)
    times, count = int(known.sum()), resamples.group_count
    if times < 2:
        return 0.0
    centred = np.where(known, drawn - drawn[known].mean(), 0.0)
    influences = (centred.astype(np.float32) @ resamples.drawn).astype(np.float64) / times
    noise = float((centred**2).sum()) / times**2
    squares = float((influences**2).sum()) - count * noise
    if squares <= count * noise * math.sqrt(2 / count):
        return 0.0  # no influence is told from the error
    fourths = float((influences**4).sum()) - 6 * noise * squares - 3 * count * noise**2
    return max(0.0, fourths / squares**2)


def _measure_spread(values: FloatArray, times: int, groups: int) -> _Spread:
    count = len(values)
    if count < 2:
        return _Spread(math.nan, 0.0, count)
    each = [_estimate_image_variance(row[1 : 1 + times], groups) for row in values]
    mean = _estimate_image_variance(values[:, 1 : 1 + times].mean(axis=0), groups)
    own = max(0.0, float(np.mean(each)) - mean) * count / (count - 1)  # image variance of one seed alone
    return _Spread(float(values[:, 0].var(ddof=1)), own, count)


def _combine_spreads(spreads: Sequence[_Spread], others: Sequence[_Spread]) -> tuple[float, float]:
    """Return the seed variance of a difference, and its sum of squares by freedom (Satterthwaite 1946).

    A model with one training has the spread of the other one. With one training each, both have the mean of
    the spreads of other models, by their degrees of freedom; without any there is none. A variance that is
    used for both counts once: its error is the same in both.

    Args:
        spreads: Of the two models.
        others: Of further models.
    """
    total = terms = 0.0
    known = [spread for spread in spreads if spread.trainings > 1]
    if not known:
        known = _average_spreads([spread for spread in others if spread.trainings > 1])
    for source in known:
        share = sum(1 / spread.trainings for spread in spreads if spread is source or len(known) == 1)
        total += max(0.0, source.variance - source.shared) * share
        terms += (source.variance * share) ** 2 / (source.trainings - 1)
    return total, terms


def _average_spreads(spreads: Sequence[_Spread]) -> list[_Spread]:
    """Return the mean of spreads as one of as many degrees of freedom as they have together."""
    freedoms = [spread.trainings - 1 for spread in spreads]
    if not freedoms:
        return []
    variance = np.average([spread.variance for spread in spreads], weights=freedoms)
    shared = np.average([spread.shared for spread in spreads], weights=freedoms)
    return [_Spread(float(variance), float(shared), sum(freedoms) + 1)]
