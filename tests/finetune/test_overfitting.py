"""The overfitting verdict on loss curves of known shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finetune.overfitting import detect_overfitting

FALLING = [4.0, 3.0, 2.5, 2.0, 1.6, 1.3, 1.1, 1.0]


@pytest.mark.parametrize(
    ("train", "val", "verdict", "gap"),
    [
        ([], [], "none", 0.0),
        ([3.0], [3.0], "none", 0.0),
        (FALLING, FALLING, "none", 0.0),
        (FALLING, [4, 3, 2.5, 2.4, 2.4, 2.4, 2.4, 2.4], "none", 0.0),  # a plateau is not overfitting
        (FALLING, [4, 3, 2, 2, 2, 2.1, 2.2, 2.2], "mild", 0.1),
        (FALLING, [4, 3, 2, 2, 2, 2.5, 3.0, 3.0], "strong", 0.5),
        (list(reversed(FALLING)), [4, 3, 2, 2, 2, 2.5, 3.0, 3.0], "none", 0.0),  # both rise: it diverged
    ],
)
def test_overfitting_by_hand(train, val, verdict, gap):
    found = detect_overfitting(train, val)
    assert found.verdict == verdict
    assert found.gap == pytest.approx(gap, abs=1e-3)


def test_one_noisy_epoch_does_not_decide():
    assert detect_overfitting(FALLING, [4, 3, 2, 2, 9, 2, 1.9, 1.8]).verdict == "none"


losses = st.floats(0.01, 100)


@given(st.lists(st.tuples(losses, losses), min_size=1, max_size=40))
def test_gap_is_never_negative_and_decides_the_verdict(pairs):
    found = detect_overfitting([train for train, _ in pairs], [val for _, val in pairs])
    assert found.gap >= 0
    assert (found.verdict == "none") == (found.gap < 0.05 or round(found.gap, 4) < 0.05)


@given(st.lists(st.tuples(losses, losses), min_size=1, max_size=20), st.floats(0.1, 10))
def test_gap_does_not_depend_on_the_scale_of_the_loss(pairs, unit):
    train, val = [train for train, _ in pairs], [val for _, val in pairs]
    scaled = detect_overfitting([unit * loss for loss in train], [unit * loss for loss in val])
    assert scaled.gap == pytest.approx(detect_overfitting(train, val).gap, abs=2e-4)
