"""Which sizes a learning curve is drawn from."""

from __future__ import annotations

import pytest

from pipeline.sweep.learning_curve.collect_sizes import select_sizes
from pipeline.sweep.learning_curve.curve_size import CurveSize


def make_size(fraction: float, *counts: int) -> CurveSize:
    return CurveSize(fraction, sum(counts) / len(counts), (0.5,), (0.5,), ("a",), ("b",), counts)


@pytest.mark.parametrize(
    ("counts", "is_kept"),
    [((50, 50), True), ((41, 61), True), ((50, 70), False), ((30, 50), False), ((100, 100), False)],
)
def test_parts_of_another_size_than_their_fraction_are_left_out(counts, is_kept):
    whole, part = make_size(1.0, 200, 200), make_size(0.25, *counts)
    sizes, remarks = select_sizes([part, whole])
    assert sizes == ([part, whole] if is_kept else [whole])
    assert [remark.startswith("data.fraction=0.25 is left out") for remark in remarks] == [True] * (
        not is_kept
    )


def test_without_a_training_on_all_images_nothing_is_known():
    part = make_size(0.25, 100)
    assert select_sizes([part]) == ([part], [])
