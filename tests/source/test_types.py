"""Splits in the names of folders and files."""

import pytest

from pipeline.source.types import find_split_in_name


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_val2017", "val"),
        ("trainset", "train"),
        ("TestImages", "test"),
        ("valcrop", "val"),
        ("traindata_v2", "train"),
        ("training_set", "train"),
        ("dataset", None),
        ("contest", None),
        ("trains", None),
        ("testimony", None),
    ],
)
def test_split_is_found_as_a_word_or_with_what_it_holds(name, split):
    assert find_split_in_name(name) == split
