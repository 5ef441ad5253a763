"""Detect overfitting from the loss curves of train and val.

The gap is Prechelt's generalization loss (Early Stopping, but when?, 1998): how far the final val loss is
above its minimum, as a share of the minimum. It counts only if the train loss fell since the minimum; if both
rise, the training diverged, which is a different problem. Both curves are smoothed first by a running median
of three epochs, so that one noisy epoch does not decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

MILD_GAP: Final = 0.05
STRONG_GAP: Final = 0.20
"""A val loss 5% (20%) above its minimum; less than 5% is noise of small val splits."""


class OverfittingVerdict(NamedTuple):
    """None, mild or strong; and the gap between final and minimum val loss, as a share of the minimum."""

    verdict: str
    gap: float


def detect_overfitting(train: Sequence[float], val: Sequence[float]) -> OverfittingVerdict:
    """Detect overfitting from the loss curves of a finished training.

    Args:
        train: The train loss of each epoch with validation.
        val: The val loss of the same epochs.

    Raises:
        ValueError: A loss is not finite: the training diverged.
    """
    if not all(map(math.isfinite, [*train, *val])):
        raise ValueError("a loss is not finite, so it says nothing about overfitting")
    gap = _compute_gap(_smooth(train), _smooth(val)) if val else 0.0
    verdict = "strong" if gap >= STRONG_GAP else "mild" if gap >= MILD_GAP else "none"
    return OverfittingVerdict(verdict, round(gap, 4))


def _compute_gap(train: Sequence[float], val: Sequence[float]) -> float:
    best = min(range(len(val)), key=val.__getitem__)
    if train[-1] >= train[best] or val[best] <= 0:
        return 0.0
    return val[-1] / val[best] - 1


def _smooth(curve: Sequence[float]) -> list[float]:
    return [median(curve[max(0, place - 1) : place + 2]) for place in range(len(curve))]
