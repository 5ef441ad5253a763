"""Allocation of augmented copies to train images."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment.balance import allocate_copies, compute_image_weights

IMAGES = st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=40)


@given(IMAGES, st.integers(1, 6), st.floats(0, 1), st.integers(0, 2**32))
@settings(deadline=None)
def test_total_matches_the_multiplier_and_each_image_gets_its_rounded_quota(
    images, multiplier, balance, seed
):
    counts = allocate_copies(images, multiplier=multiplier, balance=balance, seed=seed)
    assert sum(counts) == (multiplier - 1) * len(images)
    weights = compute_image_weights(images, balance)
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - weight / sum(weights) * sum(counts)) < 1 + 1e-6


@given(IMAGES, st.integers(1, 6), st.integers(0, 2**32))
@settings(deadline=None)
def test_without_balance_all_images_get_the_same_number(images, multiplier, seed):
    counts = allocate_copies(images, multiplier=multiplier, balance=0, seed=seed)
    assert counts == [multiplier - 1] * len(images)


@pytest.mark.parametrize(
    ("balance", "rare"),
    [(0.0, 10), (0.5, 30), (1.0, 90)],  # 9 times rarer: 9 ** balance times the copies per image
)
def test_image_weight_follows_its_rarest_class(balance, rare):
    assert sum(compute_image_weights([[0]] * 90 + [[1, 1]] * 10, balance)[90:]) == pytest.approx(rare)
    together = compute_image_weights([[0]] * 80 + [[0, 1]] * 10, balance)
    assert together == pytest.approx([1.0] * 80 + [rare / 10] * 10)


def test_full_balance_gives_each_class_the_same_number_of_copies():
    counts = allocate_copies([[0]] * 60 + [[1]] * 20, multiplier=3, balance=1, seed=7)
    assert sum(counts[:60]) == sum(counts[60:]) == 80


def test_image_without_objects_has_weight_1():
    assert compute_image_weights([[], [0], [0], [1]], 1.0) == [1.0, 1.0, 1.0, 2.0]


def test_seed_decides_which_images_get_the_remaining_copies():
    images = [[0]] * 29 + [[1]]
    drawn = [allocate_copies(images, multiplier=2, balance=0.5, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
