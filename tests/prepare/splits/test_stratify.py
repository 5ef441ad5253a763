"""Stratified splits: sizes, classes, groups, splits of the source."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.splits.assign import assign_splits, complete_source_splits
from pipeline.prepare.splits.stratify import SplitSample, compute_split_sizes

WEIGHTS = {"train": 0.7, "val": 0.15, "test": 0.15}


def images(*classes: set[int], group=None):
    return [
        SplitSample(f"{number:03d}", group or f"hash {number}", frozenset(found))
        for number, found in enumerate(classes)
    ]


def share(samples, assigned, cls):
    return Counter(assigned[sample.key] for sample in samples if cls in sample.classes)


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (280, {"train": 160, "val": 60, "test": 60}, (160, 60, 60)),
        (10, WEIGHTS, (7, 2, 1)),
        (364, WEIGHTS, (255, 55, 54)),
        (3, WEIGHTS, (1, 1, 1)),
        (4, WEIGHTS, (2, 1, 1)),
        (20000, {"train": 0.98, "val": 0.01, "test": 0.01}, (19600, 200, 200)),
        (20, {"train": 0.98, "val": 0.01, "test": 0.01}, (18, 1, 1)),
    ],
)
def test_split_sizes(total, weights, expected):
    assert tuple(compute_split_sizes(total, weights).values()) == expected


@given(st.integers(3, 500), st.tuples(*[st.floats(0.01, 100)] * 3))
def test_split_sizes_add_up_and_no_split_is_empty(total, weights):
    found = compute_split_sizes(total, dict(zip(WEIGHTS, weights, strict=True)))
    assert sum(found.values()) == total
    assert min(found.values()) >= 1


def test_each_class_is_spread_in_proportion_to_the_splits():
    samples = images(*[{0}] * 60, *[{1}] * 30, *[{0, 2}] * 10, *[set()] * 20)
    assigned = assign_splits(samples, {"train": 6, "val": 2, "test": 2}, seed=0)
    assert Counter(assigned.values()) == {"train": 72, "val": 24, "test": 24}
    assert share(samples, assigned, 2) == {"train": 6, "val": 2, "test": 2}
    assert share(samples, assigned, 1) == {"train": 18, "val": 6, "test": 6}
    backgrounds = Counter(assigned[sample.key] for sample in samples if not sample.classes)
    assert backgrounds == {"train": 12, "val": 4, "test": 4}


classes = st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=3, max_size=60)


@given(classes, st.integers(0, 5), st.randoms())
def test_split_sizes_are_exact_and_independent_of_the_order(found, seed, random):
    samples = images(*found)
    shuffled = random.sample(samples, len(samples))
    assigned = assign_splits(samples, WEIGHTS, seed=seed)
    assert Counter(assigned.values()) == compute_split_sizes(len(samples), WEIGHTS)
    assert assign_splits(shuffled, WEIGHTS, seed=seed) == assigned


def test_another_seed_gives_another_split():
    samples = images(*[{0}] * 40)
    assert assign_splits(samples, WEIGHTS, seed=0) != assign_splits(samples, WEIGHTS, seed=1)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=60), st.integers(0, 5))
def test_groups_stay_in_one_split_and_no_split_is_empty(hashes, seed):
    samples = [
        SplitSample(str(number), f"hash {value}", frozenset({0})) for number, value in enumerate(hashes)
    ]
    if len(set(hashes)) < len(WEIGHTS):
        with pytest.raises(
            UserError, match=f"{len(samples)} images are {len(set(hashes))} groups?, and each"
        ):
            assign_splits(samples, WEIGHTS, seed=seed)
        return
    assigned = assign_splits(samples, WEIGHTS, seed=seed)
    assert set(assigned) == {sample.key for sample in samples}
    assert set(assigned.values()) == set(WEIGHTS)
    assert all(
        len({assigned[s.key] for s in samples if s.group == f"hash {value}"}) == 1 for value in set(hashes)
    )


def test_complete_source_split_is_kept():
    samples = images({0}, {0}, {1})
    given_ = {"000": "test", "001": "train", "002": "val"}
    assert complete_source_splits(given_, samples, WEIGHTS, seed=0) == given_


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"train": 80, "val": 20}, {"train": 65, "val": 20, "test": 15}),
        ({"train": 80, "test": 20}, {"train": 65, "val": 15, "test": 20}),
        ({"train": 100}, {"train": 70, "val": 15, "test": 15}),
        ({"train": 4, "val": 4}, {"train": 3, "val": 4, "test": 1}),
        ({"train": 3, "val": 97}, {"train": 1, "val": 97, "test": 2}),
        ({"train": 3}, {"train": 1, "val": 1, "test": 1}),
    ],
)
def test_missing_split_is_taken_from_train_only(counts, expected):
    sides = [split for split, number in counts.items() for _ in range(number)]
    samples = images(*[{0}] * len(sides))
    given_ = {sample.key: side for sample, side in zip(samples, sides, strict=True)}
    assigned = complete_source_splits(given_, samples, WEIGHTS, seed=0)
    assert Counter(assigned.values()) == expected
    assert all(assigned[key] == side for key, side in given_.items() if side != "train")


@pytest.mark.parametrize(
    ("number", "message"), [(0, "0 usable images are"), (1, "1 usable image is"), (2, "2 usable images are")]
)
def test_too_few_images_are_refused(number, message):
    with pytest.raises(UserError, match=f"{message} too few"):
        assign_splits(images(*[{0}] * number), WEIGHTS, seed=0)


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        (["val", "test"], "only test and val images, no train: add images"),
        (["train", "val"], "train has only 1 image, too few to take test from it: add images"),
        (["train", "train"], "train has only 2 images, too few to take val and test from it: add images"),
        (["val", "test", "val"], "only test and val images, no train: set data.keep_split=false"),
        (["train", "val", "val"], "train has only 1 image, too few to take test from it: set data.keep_spl"),
    ],
)
def test_source_split_that_cannot_be_completed_is_refused_with_advice_that_helps(splits, sentence):
    samples = images(*[{0}] * len(splits))
    given_ = {sample.key: side for sample, side in zip(samples, splits, strict=True)}
    with pytest.raises(UserError, match=sentence):
        complete_source_splits(given_, samples, WEIGHTS, seed=0)
    if "keep_split" in sentence:
        assert set(assign_splits(samples, WEIGHTS, seed=0).values()) == set(WEIGHTS)
