"""What the few images of a rare class allow to say of a mean over the classes.

A class with one object weighs as much in a mean over classes as one with hundreds, and resamples hardly
vary it: of two images on which both models differ alike, each shows the same difference. So where a class
is in one or two groups, or all of its groups agree, its error is at least the one that the sign test allows.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.statistics.student_t import find_two_sided_quantile
from pipeline.core.arrays import FloatArray, IntArray

MAX_RARE_GROUPS: Final = 20
"""With objects in more groups than this, the variance between them tells enough."""
MAX_SIGN_TEST_GROUPS: Final = 2
"""The variance between so few groups tells nothing of their error; it may be small by chance."""
MIN_VARYING_SHARE: Final = 1e-9
"""Of the least variance: resamples that vary by less differ by rounding alone."""


class ClassParts(NamedTuple):
    """The values of each class, of a figure that is their mean.

    Attributes:
        first: (trainings, weightings, classes) of the first model; nan without objects.
        second: Likewise, of the second model.
        groups: (classes,) in how many groups of images each class has objects.
    """

    first: FloatArray
    second: FloatArray
    groups: IntArray

    def are_constant(self) -> bool:
        """Tell whether both models have one and the same value of each class on all resamples."""
        values = np.concatenate([self.first, self.second])[..., self.groups > 0]
        if not values.size:
            return False
        lowest = np.where(np.isnan(values), np.inf, values).min(axis=(0, 1))
        highest = np.where(np.isnan(values), -np.inf, values).max(axis=(0, 1))
        return bool((lowest == highest).all())


class ClassVariance(NamedTuple):
    """The variance of a difference of means over classes, as their own differences have it.

    Attributes:
        variance: Of the mean, were classes independent of each other.
        terms: The sum, over rare classes, of the square of each one's part in it, other than
            that of a class in one group, by its number of groups (Satterthwaite 1946).
    """

    variance: float
    terms: float


def measure_class_variance(parts: ClassParts, times: int) -> ClassVariance:
    """Measure the variance of the difference of a mean over classes from the differences of the classes.

    Args:
        parts: The values of the classes.
        times: Number of resamples, which follow the first weighting.
    """
    present = parts.groups > 0
    groups = parts.groups[present]
    is_rare = groups <= MAX_RARE_GROUPS
    if not is_rare.any():
        return ClassVariance(0.0, 0.0)
    values = [side[:, : 1 + times, present].mean(axis=0) for side in (parts.first, parts.second)]
    differences = values[1] - values[0]
    variances = _measure_variances(differences[1:]) * groups / np.maximum(groups - 1, 1)
    ratios = np.array([_find_least_ratio(min(each, MAX_RARE_GROUPS + 1)) for each in groups.tolist()])
    least = (differences[0] / ratios) ** 2
    agrees = variances <= MIN_VARYING_SHARE * least
    variances = np.where(is_rare & agrees & (groups > 1), least, variances)
    least[~is_rare | (groups > MAX_SIGN_TEST_GROUPS)] = 0.0
    share = 1 / len(groups) ** 2
    terms = ((share * variances) ** 2 / groups)[is_rare]
    return ClassVariance(share * float(np.maximum(variances, least).sum()), float(terms.sum()))


def _measure_variances(drawn: FloatArray) -> FloatArray:
    """Return the variances (classes,) of drawn (resamples, classes), of what is not nan."""
    known = ~np.isnan(drawn)
    number = known.sum(axis=0)
    means = np.where(known, drawn, 0.0).sum(axis=0) / np.maximum(number, 1)
    squares = np.where(known, drawn - means, 0.0) ** 2
    variances: FloatArray = squares.sum(axis=0) / np.maximum(number - 1, 1)
    return variances


@cache
def _find_least_ratio(groups: int) -> float:
    """Return how many standard errors a difference has on which all groups agree, by the sign test."""
    return find_two_sided_quantile(2.0 ** (1 - groups), groups - 1) if groups > 1 else 1.0
