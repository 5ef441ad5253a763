from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.splits import assign, stratify
from pipeline.prepare.splits.stratify import SplitSample

WEIGHTS = {"train": 0.7, "val": 0.15, "test": 0.15}


def images(*classes: set[int], group=None):
    return [
        SplitSample(f"{number:03d}", group or f"hash {number}", frozenset(found))
        for number, found in enumerate(classes)
    ]


def share(samples, divided, cls):
    return Counter(divided[sample.key] for sample in samples if cls in sample.classes)


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
def test_sizes(total, weights, expected):
    assert tuple(stratify.sizes(total, weights).values()) == expected


@given(st.integers(3, 500), st.tuples(*[st.floats(0.01, 100)] * 3))
def test_sizes_add_up_and_leave_none_empty(total, weights):
    found = stratify.sizes(total, dict(zip(WEIGHTS, weights, strict=True)))
    assert sum(found.values()) == total
    assert min(found.values()) >= 1


def test_each_class_is_spread_in_proportion_the_rare_one_too():
    samples = images(*[{0}] * 60, *[{1}] * 30, *[{0, 2}] * 10, *[set()] * 20)
    divided = assign.divide(samples, {"train": 6, "val": 2, "test": 2}, seed=0)
    assert Counter(divided.values()) == {"train": 72, "val": 24, "test": 24}
    assert share(samples, divided, 2) == {"train": 6, "val": 2, "test": 2}
    assert share(samples, divided, 1) == {"train": 18, "val": 6, "test": 6}
    backgrounds = Counter(divided[sample.key] for sample in samples if not sample.classes)
    assert backgrounds == {"train": 12, "val": 4, "test": 4}


classes = st.lists(st.sets(st.integers(0, 4), max_size=3), min_size=3, max_size=60)


@given(classes, st.integers(0, 5), st.randoms())
def test_sizes_are_exact_and_the_order_of_files_does_not_matter(found, seed, random):
    samples = images(*found)
    shuffled = random.sample(samples, len(samples))
    divided = assign.divide(samples, WEIGHTS, seed=seed)
    assert Counter(divided.values()) == stratify.sizes(len(samples), WEIGHTS)
    assert assign.divide(shuffled, WEIGHTS, seed=seed) == divided


def test_another_seed_divides_otherwise():
    samples = images(*[{0}] * 40)
    assert assign.divide(samples, WEIGHTS, seed=0) != assign.divide(samples, WEIGHTS, seed=1)


@given(st.lists(st.integers(0, 8), min_size=3, max_size=60), st.integers(0, 5))
def test_groups_stay_on_one_side_and_no_split_is_empty(hashes, seed):
    samples = [
        SplitSample(str(number), f"hash {value}", frozenset({0})) for number, value in enumerate(hashes)
    ]
    if len(set(hashes)) < len(WEIGHTS):
        with pytest.raises(
            UserError, match=f"{len(samples)} images are {len(set(hashes))} groups?, not to be"
        ):
            assign.divide(samples, WEIGHTS, seed=seed)
        return
    divided = assign.divide(samples, WEIGHTS, seed=seed)
    assert set(divided) == {sample.key for sample in samples}
    assert set(divided.values()) == set(WEIGHTS)
    assert all(
        len({divided[s.key] for s in samples if s.group == f"hash {value}"}) == 1 for value in set(hashes)
    )


def test_a_complete_split_is_kept_as_it_came():
    samples = images({0}, {0}, {1})
    given_ = {"000": "test", "001": "train", "002": "val"}
    assert assign.keep(given_, samples, WEIGHTS, seed=0) == given_


@pytest.mark.parametrize(
    ("came", "expected"),
    [
        ({"train": 80, "val": 20}, {"train": 65, "val": 20, "test": 15}),
        ({"train": 80, "test": 20}, {"train": 65, "val": 15, "test": 20}),
        ({"train": 100}, {"train": 70, "val": 15, "test": 15}),
        ({"train": 4, "val": 4}, {"train": 3, "val": 4, "test": 1}),
        ({"train": 3, "val": 97}, {"train": 1, "val": 97, "test": 2}),
        ({"train": 3}, {"train": 1, "val": 1, "test": 1}),
    ],
)
def test_a_missing_split_is_carved_out_of_train_alone(came, expected):
    sides = [split for split, number in came.items() for _ in range(number)]
    samples = images(*[{0}] * len(sides))
    given_ = {sample.key: side for sample, side in zip(samples, sides, strict=True)}
    divided = assign.keep(given_, samples, WEIGHTS, seed=0)
    assert Counter(divided.values()) == expected
    assert all(divided[key] == side for key, side in given_.items() if side != "train")


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 usable images are"), (1, "1 usable image is"), (2, "2 usable images are")]
)
def test_too_few_images_are_refused(number, said):
    with pytest.raises(UserError, match=f"{said} too few"):
        assign.divide(images(*[{0}] * number), WEIGHTS, seed=0)


@pytest.mark.parametrize(
    ("came", "sentence"),
    [
        (["val", "test"], "only test and val images, no train: set data.keep_split=false"),
        (["train", "val"], "train is too small to carve test out of it, 1 train image: set"),
        (["train", "train"], "train is too small to carve val and test out of it, 2 train images: set"),
    ],
)
def test_a_split_that_cannot_be_completed_is_refused(came, sentence):
    samples = images(*[{0}] * len(came))
    given_ = {sample.key: side for sample, side in zip(samples, came, strict=True)}
    with pytest.raises(UserError, match=sentence):
        assign.keep(given_, samples, WEIGHTS, seed=0)
