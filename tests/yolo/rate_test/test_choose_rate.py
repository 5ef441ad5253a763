"""The rate that is chosen from a curve: where the loss has begun to fall, within limits, or the usual one."""

from __future__ import annotations

import json
import math

import pytest

from pipeline.yolo.rate_test.choose_rate import (
    FALL,
    MAX_CHANGE,
    choose_rate,
    format_test,
    parse_test,
    round_rate,
)

USUAL = 0.001
RATES = [USUAL / 16 * 128 ** (step / 31) for step in range(32)]


def fall(rate: float) -> list[float]:
    """Losses as they are measured: the fall is in proportion to the rate, and is FALL at one of them."""
    return [(1 - FALL) ** (each / rate) for each in RATES]


@pytest.mark.parametrize("factor", [0.3, 0.5, 1.0, 2.0, 3.7])
def test_the_rate_is_that_at_which_the_loss_has_fallen(factor):
    found = choose_rate(RATES, fall(USUAL * factor), usual=USUAL)
    assert found.lr0 == pytest.approx(USUAL * factor, rel=0.06)  # two digits, and the average of neighbours
    assert found.lr0 == round_rate(found.lr0)


@pytest.mark.parametrize(("factor", "expected"), [(5.5, MAX_CHANGE), (0.1, 1 / MAX_CHANGE)])
def test_a_rate_far_from_the_usual_one_is_limited(factor, expected):
    found = choose_rate(RATES, fall(USUAL * factor), usual=USUAL)
    assert found.lr0 == USUAL * expected
    assert "is the limit" in found.reason


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [1.0] * 32,
        [1 - 0.04 * math.sin(step) for step in range(32)],
        [1 + step / 10 for step in range(20)],
        [*fall(USUAL)[:20], *(1 + step / 10 for step in range(12))],
    ],
    ids=["no step", "flat", "noise", "rises", "falls and rises"],
)
def test_a_curve_that_shows_nothing_gives_the_usual_rate_and_says_so(losses):
    found = choose_rate(RATES[: len(losses)], losses, usual=USUAL)
    assert found.lr0 == USUAL
    assert found.reason.startswith("the usual rate, because")
    assert len(found.points) == len(losses)


def test_a_fall_that_is_undone_is_not_denied():
    losses = [*fall(USUAL)[:24], *(1 + step / 10 for step in range(8))]
    assert "falls by 2%, but rises again" in choose_rate(RATES, losses, usual=USUAL).reason


def test_one_lucky_batch_does_not_choose_the_rate():
    plain = fall(USUAL)
    lucky = [*plain[:8], 0.5, *plain[9:]]
    assert choose_rate(RATES, lucky, usual=USUAL).lr0 == choose_rate(RATES, plain, usual=USUAL).lr0


def test_a_test_is_the_same_after_a_file():
    test = choose_rate(RATES, fall(USUAL), usual=USUAL)
    assert parse_test(json.loads(json.dumps(format_test(test)))) == test
    for damaged in ({}, {"lr0": 1}, [], {**format_test(test), "points": [[1.0]]}):
        with pytest.raises(ValueError, match="no rate test"):
            parse_test(damaged)
