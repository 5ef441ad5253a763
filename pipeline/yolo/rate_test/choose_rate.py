"""Choose a learning rate from the curve of a rate test: how much the loss falls while the rate rises.

The test of Smith (Cyclical learning rates for training neural networks, 2017): the rate rises exponentially
from step to step. He, and fastai, take a share of the rate of the lowest loss, or that of the steepest fall.
From base weights that says nothing here: with AdamW on bccd the loss still falls at rates of 0.03 to 0.13,
60 times those that are good for a whole training. What is used instead is where the fall begins: at the rate
at which 2% of the loss are gone. On bccd that is 0.0010 for `full` from yolov8n, 0.0013 for `head` from it
and 0.0013 for `full` from the foundation weights; found by trainings were 0.0005, 0.0015 and 0.002. What the
choice is worth in mAP has still to be measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, Final, NamedTuple

FALL: Final = 0.02
"""The share of the loss that is gone at the chosen rate."""
MAX_CHANGE: Final = 4.0
"""The chosen rate is at most so many times the usual one, and at least the usual one divided by it."""
_NEIGHBOURS: Final = 2
"""Points on each side with which a point is averaged."""


class RatePoint(NamedTuple):
    """One step of a rate test.

    Attributes:
        rate: The learning rate of the step.
        loss: The loss before the step, as a multiple of the loss of the base weights on the same images.
        smoothed: The same, averaged over its neighbours.
    """

    rate: float
    loss: float
    smoothed: float


class RateTest(NamedTuple):
    """What a rate test found.

    Attributes:
        lr0: The learning rate to train with.
        reason: Why it is this one, a part of a sentence.
        points: The curve; rates rise.
    """

    lr0: float
    reason: str
    points: tuple[RatePoint, ...]


def choose_rate(rates: Sequence[float], losses: Sequence[float], *, usual: float) -> RateTest:
    """Choose a learning rate.

    Args:
        rates: Of the steps, rising.
        losses: The loss before each step, as a multiple of that of the base weights on the same images;
            finite and above 0.
        usual: The rate where nothing is measured. The chosen one is at most `MAX_CHANGE` times as large, and
            at least this rate divided by `MAX_CHANGE`.
    """
    points = _smooth(rates, losses)
    if not points:
        return RateTest(usual, "the usual rate, because the loss of the first step is not a number", points)
    span = f"in a test of {len(points)} steps up to {round_rate(points[-1].rate):g}"
    found = _find_fall(points)
    if found is None:
        fell = min(point.smoothed for point in points) <= 1 - FALL
        what = f"falls by {FALL:.0%}, but rises again" if fell else f"does not fall by {FALL:.0%}"
        return RateTest(usual, f"the usual rate, because the loss {what} {span}", points)
    wanted = round_rate(found)
    chosen = round_rate(min(max(found, usual / MAX_CHANGE), usual * MAX_CHANGE))
    if chosen == wanted:
        return RateTest(chosen, f"the loss has fallen by {FALL:.0%} at it {span}", points)
    limit = f"{MAX_CHANGE:g} times" if chosen > usual else f"1/{MAX_CHANGE:g} of"
    reason = (
        f"{limit} the usual {usual:g} is the limit; the loss has fallen by {FALL:.0%} at {wanted:g} {span}"
    )
    return RateTest(chosen, reason, points)


def round_rate(rate: float) -> float:
    """Round a rate to two digits: more would say more than a short test knows."""
    return float(f"{rate:.1e}")


def format_test(test: RateTest) -> dict[str, Any]:
    """Return a rate test as JSON values."""
    return {"lr0": test.lr0, "reason": test.reason, "points": [list(point) for point in test.points]}


def parse_test(values: Any) -> RateTest:
    """Return the rate test of JSON values that `format_test` made.

    Raises:
        ValueError: They are others.
    """
    try:
        points = tuple(RatePoint(*map(float, point)) for point in values["points"])
        return RateTest(float(values["lr0"]), str(values["reason"]), points)
    except (TypeError, KeyError) as error:
        raise ValueError(f"this is no rate test: {error}") from None


def _find_fall(points: Sequence[RatePoint]) -> float | None:
    """Return the rate from which on the average loss stays below the fall; None where there is none.

    Between two points it is interpolated.
    """
    low = 1 - FALL
    place = len(points)
    while place and points[place - 1].smoothed <= low:
        place -= 1
    if place == len(points):
        return None
    after = points[place]
    if not place:
        return after.rate
    before = points[place - 1]
    share = math.log(before.smoothed / low) / math.log(before.smoothed / after.smoothed)
    return before.rate * math.exp(share * math.log(after.rate / before.rate))


def _smooth(rates: Sequence[float], losses: Sequence[float]) -> tuple[RatePoint, ...]:
    """Average the logarithms of neighbours, after a median of three that drops single outliers."""
    logs = [math.log(loss) for loss in losses]
    calm = [median(logs[max(0, place - 1) : place + 2]) for place in range(len(logs))]
    smoothed = [
        fmean(calm[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS + 1]) for place in range(len(calm))
    ]
    return tuple(
        RatePoint(rate, loss, math.exp(mean))
        for rate, loss, mean in zip(rates, losses, smoothed, strict=True)
    )
