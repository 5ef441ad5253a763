"""What the few images of a rare class allow to say of a mean over the classes.

A class with one object weighs as much in a mean over classes as one with hundreds, and resamples hardly
vary it: of two images on which both models differ alike, each shows the same difference. So where a class
is in one or two groups, or all of its groups agree, its error is at least the one that the sign test allows.
Several such classes in the same images have one error: those images are easy or hard for all of them.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.statistics.student_t import find_two_sided_quantile
from pipeline.core.arrays import BoolArray, FloatArray

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
        held: (groups, classes) whether a group of images has objects of a class.
    """

    first: FloatArray
    second: FloatArray
    held: BoolArray

    def are_constant(self) -> bool:
        """Tell whether both models have one and the same value of each class on all resamples."""
        values = np.concatenate([self.first, self.second])[..., self.held.any(axis=0)]
        if not values.size:
            return False
        lowest = np.where(np.isnan(values), np.inf, values).min(axis=(0, 1))
        highest = np.where(np.isnan(values), -np.inf, values).max(axis=(0, 1))
        return bool((lowest == highest).all())


class ClassVariance(NamedTuple):
    """The variance of a difference of means over classes, as their own differences have it.

    Attributes:
        variance: Of the mean, were groups independent of each other, and classes that are not rare, too.
        terms: The sum, over groups, of the square of each one's part in it, of rare classes in two groups or
            more: the degrees of freedom are the square of the variance by it (Satterthwaite 1946).
    """

    variance: float
    terms: float


def measure_class_variance(parts: ClassParts, times: int) -> ClassVariance:
    """Measure the variance of the difference of a mean over classes from the differences of the classes.

    Args:
        parts: The values of the classes.
        times: Number of resamples, which follow the first weighting.
    """
    present = parts.held.any(axis=0)
    held = parts.held[:, present]
    groups = held.sum(axis=0)
    is_rare = groups <= MAX_RARE_GROUPS
    if not is_rare.any():
        return ClassVariance(0.0, 0.0)
    values = [side[:, : 1 + times, present].mean(axis=0) for side in (parts.first, parts.second)]
    differences = values[1] - values[0]
    variances = _measure_variances(differences[1:]) * groups / np.maximum(groups - 1, 1)
    ratios = np.array([_find_least_ratio(min(each, MAX_RARE_GROUPS + 1)) for each in groups.tolist()])
    least = (differences[0] / ratios) ** 2
    is_told = variances > MIN_VARYING_SHARE * least  # by the variance between the groups
    is_least = is_rare & ((groups <= MAX_SIGN_TEST_GROUPS) | ~is_told)
    variances = np.where(is_least, np.maximum(variances, least), variances) / len(groups) ** 2
    errors = np.copysign(np.sqrt(variances / groups), differences[0])
    shared = _sum_by_group(held, errors, is_least)
    own = float(((variances**2) / groups)[is_rare & ~is_least].sum())
    terms = float((_sum_by_group(held, errors, is_least & (groups > 1)) ** 2).sum())
    return ClassVariance(float(variances[~is_least].sum()) + float(shared.sum()), own + terms)


def _sum_by_group(held: BoolArray, errors: FloatArray, chosen: BoolArray) -> FloatArray:
    """Return the part (groups,) of each group in the variance: the errors of its classes are one error.

    Args:
        held: (groups, classes).
        errors: (classes,) of each class in one of its groups, with the sign of its difference.
        chosen: (classes,) the classes that count.
    """
    parts: FloatArray = (held[:, chosen] @ errors[chosen]) ** 2
    return parts


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
