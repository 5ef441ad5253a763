"""Holm's adjustment."""

import pytest

from pipeline.comparison.statistics.multiple_testing import adjust_holm


def test_the_smallest_p_value_is_multiplied_by_the_number_of_tests():
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_adjusted_p_values_are_at_most_one_and_keep_their_order():
    found = adjust_holm([0.9, 0.2, 0.5, 0.5])
    assert max(found) == 1
    assert found[1] <= found[2] == found[3] <= found[0]


def test_one_test_is_not_adjusted_and_none_is_no_error():
    assert adjust_holm([0.03]) == [0.03]
    assert adjust_holm([]) == []
