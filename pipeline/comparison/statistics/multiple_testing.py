"""Holm's adjustment of p-values for several tests at once (Holm 1979)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that any false alarm among all tests has at most the wanted probability.

    The smallest of n is multiplied by n, the next by n - 1, and so on; none gets below one that is smaller.

    Args:
        p_values: Of all tests that are looked at together, in any order.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    raised = np.maximum.accumulate(np.array(p_values, np.float64)[order] * factors)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(raised, 1)
    return [float(value) for value in adjusted]
