"""Student's t by its incomplete beta function: compared with scipy."""

import math

import pytest
from scipy import stats

from pipeline.comparison.statistics.student_t import compute_two_sided_p, find_two_sided_quantile


@pytest.mark.parametrize("freedom", [1, 1.5, 4, 29.3, 54, 1000, 1e6])
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.5, 1.96, -2.7, 12.0, 300.0])
def test_p_value_equals_scipys(t, freedom):
    assert compute_two_sided_p(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-7)


@pytest.mark.parametrize("freedom", [1, 2.5, 54, 1000])
@pytest.mark.parametrize("p", [1.0, 0.5, 0.05, 1e-9])
def test_quantile_equals_scipys(p, freedom):
    expected = stats.t.isf(p / 2, freedom)
    assert find_two_sided_quantile(p, freedom) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_p_value_of_an_infinite_statistic_is_zero():
    assert compute_two_sided_p(math.inf, 3) == 0
