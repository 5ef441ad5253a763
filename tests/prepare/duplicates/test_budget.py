"""A search is given up where too many pairs look alike, not where some images of one place come first."""

from __future__ import annotations

import pytest

from pipeline.prepare.duplicates.budget import PairBudget, TooManyPairsError


def test_a_dense_beginning_says_nothing_of_the_rest():
    tally = PairBudget(whole=1_000_000, most=1000)
    tally.add(alike=90)
    tally.add(compared=50_000)
    for _ in range(95):
        tally.add(alike=1)
        tally.add(compared=10_000)


def test_a_tenth_of_the_search_tells_how_many_there_will_be():
    tally = PairBudget(whole=1_000_000, most=1000)
    tally.add(alike=200)
    tally.add(compared=90_000)
    with pytest.raises(TooManyPairsError) as crowd:
        tally.add(compared=10_000)
    assert crowd.value.args == (2000,)


def test_too_many_are_too_many_at_once():
    tally = PairBudget(whole=1_000_000, most=1000)
    tally.add(alike=1000)
    with pytest.raises(TooManyPairsError) as crowd:
        tally.add(alike=1)
    assert crowd.value.args == (1001,)
