"""Did the training go on fitting its own images after it had stopped serving others?

The number is Prechelt's generalisation loss (Early Stopping, but when?, 1998): by how much the val loss lies
above its lowest point, as a share of it. It counts only where the train loss fell meanwhile; where both rise,
the training diverged or was disturbed, which is another illness. Both curves are smoothed first by a running
median of three epochs, so that one noisy epoch makes no verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

MILD: Final = 0.05
STRONG: Final = 0.20
"""A val loss 5% (20%) above its lowest point; below 5% it is noise of small val splits."""


class OverfittingVerdict(NamedTuple):
    """The verdict, and the gap that opened since the val loss was lowest, as a share of it."""

    verdict: str
    gap: float


def judge(train: Sequence[float], val: Sequence[float]) -> OverfittingVerdict:
    """Judge the loss curves of a finished training.

    Args:
        train: The train loss of each epoch that was validated.
        val: The val loss of each epoch, as many.
    """
    gap = _gap(_smooth(train), _smooth(val)) if val else 0.0
    return OverfittingVerdict("strong" if gap >= STRONG else "mild" if gap >= MILD else "none", round(gap, 4))


def _gap(train: Sequence[float], val: Sequence[float]) -> float:
    best = min(range(len(val)), key=val.__getitem__)
    if train[-1] >= train[best] or val[best] <= 0:
        return 0.0
    return val[-1] / val[best] - 1


def _smooth(curve: Sequence[float]) -> list[float]:
    return [median(curve[max(0, place - 1) : place + 2]) for place in range(len(curve))]
