"""Student's t distribution, also for degrees of freedom that are no whole numbers."""

from __future__ import annotations

import math
from typing import Final

_MAX_TERMS: Final = 400
_MAX_QUANTILE: Final = 1e12
"""Quantiles above it are not told apart: one degree of freedom reaches it at a probability of 3e-13."""


def compute_two_sided_p(t: float, freedom: float) -> float:
    """Return the probability that |T| is at least |t|.

    Args:
        t: The statistic; may be infinite.
        freedom: Degrees of freedom, above 0.
    """
    share = freedom / (freedom + t * t) if math.isfinite(t) else 0.0
    return _regularized_beta(share, freedom / 2, 0.5)


def find_two_sided_quantile(p: float, freedom: float) -> float:
    """Return the t of which |T| is at least t with probability p: 1.96 for 0.05 and much freedom.

    Args:
        p: Above 0, at most 1.
        freedom: Degrees of freedom, above 0.
    """
    low, high = 0.0, 1.0
    while compute_two_sided_p(high, freedom) > p and high < _MAX_QUANTILE:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if compute_two_sided_p(middle, freedom) > p else (low, middle)
    return (low + high) / 2


def _regularized_beta(x: float, a: float, b: float) -> float:
    """Compute the regularized incomplete beta function I_x(a, b) by its continued fraction.

    The fraction converges fast below (a + 1) / (a + b + 2); above, I_x(a, b) = 1 - I_(1-x)(b, a).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _regularized_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a / _evaluate_fraction(x, a, b)


def _evaluate_fraction(x: float, a: float, b: float) -> float:
    """Evaluate 1 + d1 / (1 + d2 / (1 + ...)) by Lentz's method (DLMF 8.17.22)."""
    value = upper = 1.0
    lower = 0.0
    for term in range(1, _MAX_TERMS):
        factor = _fraction_term(term, x, (a, b))
        lower = 1 / (1 + factor * lower)
        upper = 1 + factor / upper
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return value


def _fraction_term(term: int, x: float, of: tuple[float, float]) -> float:
    a, b = of
    m = term // 2
    if term % 2 == 0:
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
