import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment import balance as augment_balance

IMAGES = st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=40)


@given(IMAGES, st.integers(1, 6), st.floats(0, 1), st.integers(0, 2**32))
@settings(deadline=None)
def test_the_total_is_the_multiplier_and_each_image_gets_its_quota_rounded(images, multiplier, balance, seed):
    counts = augment_balance.copies(images, multiplier=multiplier, balance=balance, seed=seed)
    assert sum(counts) == (multiplier - 1) * len(images)
    weights = augment_balance.weights(images, balance)
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - weight / sum(weights) * sum(counts)) < 1 + 1e-6


@given(IMAGES, st.integers(1, 6), st.integers(0, 2**32))
@settings(deadline=None)
def test_without_balance_every_image_gets_the_same_number(images, multiplier, seed):
    counts = augment_balance.copies(images, multiplier=multiplier, balance=0, seed=seed)
    assert counts == [multiplier - 1] * len(images)


@pytest.mark.parametrize(
    ("balance", "rare"),
    [(0.0, 10), (0.5, 30), (1.0, 90)],  # 9 times rarer: 9 ** balance times the copies per image
)
def test_balance_weighs_an_image_by_its_rarest_class(balance, rare):
    assert sum(augment_balance.weights([[0]] * 90 + [[1, 1]] * 10, balance)[90:]) == pytest.approx(rare)
    together = augment_balance.weights([[0]] * 80 + [[0, 1]] * 10, balance)
    assert together == pytest.approx([1.0] * 80 + [rare / 10] * 10)


def test_full_balance_gives_classes_in_separate_images_the_same_number_of_copies():
    counts = augment_balance.copies([[0]] * 60 + [[1]] * 20, multiplier=3, balance=1, seed=7)
    assert sum(counts[:60]) == sum(counts[60:]) == 80


def test_an_image_without_objects_weighs_as_much_as_the_commonest_class():
    assert augment_balance.weights([[], [0], [0], [1]], 1.0) == [1.0, 1.0, 1.0, 2.0]


def test_the_seed_decides_who_gets_the_odd_copies():
    images = [[0]] * 29 + [[1]]
    drawn = [augment_balance.copies(images, multiplier=2, balance=0.5, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
