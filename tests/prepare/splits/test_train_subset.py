"""The part of the train images that data.fraction takes."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.splits.stratify import SplitSample
from pipeline.prepare.splits.train_subset import reduce_train_split, select_train_subset

samples_strategy = st.lists(
    st.tuples(st.integers(0, 15), st.sets(st.integers(0, 3), max_size=2)), min_size=1, max_size=60
).map(
    lambda drawn: [
        SplitSample(f"{place:03d}", f"group {group}", frozenset(classes))
        for place, (group, classes) in enumerate(drawn)
    ]
)


def make_samples(count: int, classes: int = 4) -> list[SplitSample]:
    """Make single images, of class 0 half of them, of each further class half of what is left."""
    kinds = [
        next((cls for cls in range(classes) if place % 2 ** (cls + 1)), classes) for place in range(count)
    ]
    return [SplitSample(f"{place:04d}", f"{place:04d}", frozenset({cls})) for place, cls in enumerate(kinds)]


@settings(max_examples=60, deadline=None)
@given(samples_strategy, st.integers(0, 3), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_fraction_holds_every_smaller_one_in_whole_groups(samples, seed, one, other):
    small, large = (select_train_subset(samples, part, seed=seed) for part in sorted((one, other)))
    assert small
    assert small <= large
    for kept in (small, large):
        groups = {sample.group for sample in samples if sample.key in kept}
        assert kept == {sample.key for sample in samples if sample.group in groups}
    assert select_train_subset(samples[::-1], one, seed=seed) == select_train_subset(samples, one, seed=seed)
    assert len(select_train_subset(samples, 1.0, seed=seed)) == len(samples)


@pytest.mark.parametrize("fraction", [0.125, 0.25, 0.5])
def test_each_class_has_its_share(fraction):
    samples = make_samples(320)
    whole = Counter(cls for sample in samples for cls in sample.classes)
    for seed in range(3):
        kept = select_train_subset(samples, fraction, seed=seed)
        counts = Counter(cls for sample in samples if sample.key in kept for cls in sample.classes)
        assert len(kept) == 320 * fraction
        for cls, number in whole.items():
            assert counts[cls] == pytest.approx(number * fraction, abs=2)


def test_another_seed_gives_other_images():
    samples = make_samples(40)
    parts = {frozenset(select_train_subset(samples, 0.5, seed=seed)) for seed in range(4)}
    assert len(parts) == 4


def test_val_and_test_stay_whole():
    samples = make_samples(40)
    splits = {sample.key: "val" if place < 10 else "train" for place, sample in enumerate(samples)}
    found = reduce_train_split(splits, samples, 0.5, seed=0)
    assert len(found.outside) == 15
    assert all(splits[key] == "train" for key in found.outside)
    assert reduce_train_split(splits, samples, 1.0, seed=0) == (splits, frozenset(), [])


@pytest.mark.parametrize("classes", [frozenset({0}), frozenset()], ids=["no image", "no object"])
def test_a_part_without_an_object_is_refused(classes):
    samples = [SplitSample(f"{place}", f"{place}", classes) for place in range(10)]
    fraction = 0.5 if not classes else 0.05
    with pytest.raises(UserError):
        reduce_train_split(dict.fromkeys((each.key for each in samples), "train"), samples, fraction, seed=0)
