"""Lists of images that are splits: how tools and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.source.split_lists import SplitLists, has_split_lists


def write_lists(folder: Path, lists: dict[str, str]) -> SplitLists:
    for name, text in lists.items():
        (folder / name).write_text(text)
    return SplitLists(folder)


@pytest.mark.parametrize(
    ("lists", "images", "splits"),
    [
        ({"train.txt": "a\nb\n", "val.txt": "c\n"}, ["a.jpg", "c.jpg", "d.jpg"], ["train", "val", None]),
        ({"Train.txt": "a\n", "Validation.txt": "b\n", "Test.txt": "c\n"}, "abc", ["train", "val", "test"]),
        ({"train.txt": "a.jpg\n", "test.txt": "b.JPG\n"}, ["a.jpg", "b.JPG"], ["train", "test"]),
        ({"train.txt": "a/1\n", "test.txt": "b/1\n"}, ["JPEGImages/a/1.jpg", "b/1.png"], ["train", "test"]),
        ({"train.txt": "img 1\n", "test.txt": "img 2\n"}, ["img 1.jpg", "img 2.jpg"], ["train", "test"]),
        ({"train.txt": "a -1\nb  1\n", "test.txt": "c 1\n"}, "abc", ["train", "train", "test"]),
        (
            {"train.txt": "data/obj/a.png\n", "val.txt": ".\\b.png\n"},
            ["images/a.png", "b.png"],
            ["train", "val"],
        ),
        ({"trainval.txt": "a\nb\n", "test.txt": "b\nc\n"}, "abc", ["train", "test", "test"]),
        ({"train.txt": "a\n", "trainval.txt": "a\nb\n"}, "ab", ["train", None]),
        ({"cat_train.txt": "a 1\n", "default.txt": "a\n"}, "a", [None]),
        ({}, "a", [None]),
    ],
)
def test_lists_give_the_splits(tmp_path, lists, images, splits):
    found = write_lists(tmp_path, lists)
    assert [found.find_split([image]) for image in images] == splits


def test_lists_that_match_nothing_and_images_in_two_are_told(tmp_path):
    lists = write_lists(tmp_path, {"train.txt": "a\nb\n", "test.txt": "a\n", "val.txt": "x\n"})
    assert [lists.find_split([name]) for name in "ab"] == ["test", "train"]
    unused, twice = lists.list_remarks()
    assert "val.txt names none of the images" in unused
    assert "1 image in more than one split" in twice


def test_one_list_alone_divides_nothing(tmp_path):
    write_lists(tmp_path, {"train.txt": "a\n", "classes.txt": "cat\n"})
    assert not has_split_lists(tmp_path)
    write_lists(tmp_path, {"test.txt": "b\n"})
    assert has_split_lists(tmp_path)
