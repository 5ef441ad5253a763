"""Which pseudo-labelled images are left out, since val or test shows what they show."""

from itertools import pairwise

import pytest

from pipeline.core.errors import UserError
from pipeline.prepare.splits.groups import ImageLink
from pipeline.prepare.splits.held_out_relatives import (
    find_held_out_relatives,
    link_by_group_name,
    select_by_hash,
)

SPLITS = {"a": "train", "b": "val", "c": "test", "d": "train"}
PSEUDO = ["x", "y", "z"]


@pytest.mark.parametrize(
    ("links", "related"),
    [
        ([], set()),
        ([("a", "x")], set()),  # of train
        ([("b", "x"), ("c", "y")], {"x", "y"}),
        ([("x", "y"), ("b", "y")], {"x", "y"}),  # by one another
        ([("a", "x"), ("a", "c")], {"x"}),  # a split that leaks
    ],
)
def test_images_in_a_group_with_val_or_test_are_found(links, related):
    made = [ImageLink(one, other, "near") for one, other in links]
    assert find_held_out_relatives(PSEUDO, SPLITS, made) == related


@pytest.mark.parametrize(
    ("group_by", "related"),
    [("folder", {"x"}), (r"cam(\d+)", {"x", "y"}), ("column:place", set()), ("nothing", set())],
)
def test_a_group_of_the_same_name_is_the_same_group(group_by, related):
    labelled = {
        "a": ("cam1/1.jpg", {"place": "here"}),
        "b": ("cam2/2.jpg", {"place": "there"}),
        "c": ("cam3/3.jpg", {}),
        "d": ("cam2/4.jpg", {}),
    }
    pseudo = {"x": "cam2/7.jpg", "y": "other/cam3_8.jpg", "z": "cam1/9.jpg"}
    links = link_by_group_name(group_by, labelled, pseudo)
    assert find_held_out_relatives(pseudo, SPLITS, links) == related


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(UserError, match="no regular expression"):
        link_by_group_name("(", {"a": ("a.jpg", {})}, {})


def test_a_larger_limit_only_adds_images_and_a_seed_changes_them():
    hashes = {f"{number}.jpg": f"{number:064x}" for number in range(100)}
    parts = [select_by_hash(hashes, limit, seed=0) for limit in (0, 10, 60, 100, 500)]
    assert [len(part) for part in parts] == [0, 10, 60, 100, 100]
    assert all(small <= large for small, large in pairwise(parts))
    assert select_by_hash(hashes, 60, seed=1) != parts[2]
