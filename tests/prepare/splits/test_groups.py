"""Links between images and the groups that they make."""

import shlex

import pytest
from dvc.utils.hydra import to_hydra_overrides
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.splits.groups import (
    ImageLink,
    find_group_name,
    group_linked_images,
    link_equal_images,
    link_named_groups,
    list_groups,
    suggest_grouping,
)


def make_link(one: str, other: str) -> ImageLink:
    return ImageLink(one, other, "near")


def test_images_are_grouped_through_other_images():
    groups = group_linked_images("abcdef", [make_link("b", "a"), make_link("c", "b"), make_link("e", "f")])
    assert groups == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "e"}
    assert list_groups(groups) == [["a", "b", "c"], ["e", "f"]]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20), st.randoms())
def test_groups_equal_reachability_in_any_order_of_links(pairs, random):
    keys = [f"{number:02d}" for number in range(16)]
    links = [make_link(keys[one], keys[other]) for one, other in pairs]
    groups = group_linked_images(keys, links)
    assert group_linked_images(keys, random.sample(links, len(links))) == groups
    reachable = {key: {key} for key in keys}
    for _ in keys:
        for one, other, _ in links:
            reachable[one] = reachable[other] = reachable[one] | reachable[other]
            for key in reachable[one]:
                reachable[key] = reachable[one]
    assert groups == {key: min(reachable[key]) for key in keys}


def test_equal_images_are_linked():
    assert link_equal_images({"a": "1", "b": "2", "c": "1", "d": "1"}) == [
        ImageLink("a", "c", "equal"),
        ImageLink("c", "d", "equal"),
    ]


PATHS = ["day1/cam-a_01.jpg", "day1/cam-b_01.jpg", "day2/cam-a_02.jpg", "other.jpg"]


@pytest.mark.parametrize(
    ("by", "together", "alone"),
    [
        ("folder", [{0, 1}], 0),
        (r"cam-(\w)_", [{0, 2}], 1),
        (r"cam-\w", [{0, 2}], 1),
        (r"^day\d", [{0, 1}], 1),
        ("column:patient", [{1, 2}], 1),
    ],
)
def test_images_are_grouped_by_folder_pattern_or_column(by, together, alone):
    patients = ["p1", "p2", "p2", ""]
    columns = {path: {"patient": patient} for path, patient in zip(PATHS, patients, strict=True)}
    links, remarks = link_named_groups(by, columns)
    found = list_groups(group_linked_images(PATHS, links))
    assert [{PATHS.index(path) for path in group} for group in found] == together
    assert len(remarks) == 1
    assert ("; 1 image in none, a group of its own each" in remarks[0]) == bool(alone)


@pytest.mark.fault(2, "data.group_by=folder takes one patient in two splits for two")
@pytest.mark.parametrize(
    ("paths", "groups"),
    [
        (
            ["images/train/p7/1.png", "images/val/p7/2.png", "images/test/p8/3.png"],
            ["images/p7", "images/p8"],
        ),
        (["train/images/p7/1.png", "Valid/images/p7/2.png"], ["images/p7"]),
        (["images/train/1.png", "images/val/2.png"], ["images/train", "images/val"]),
        (["train/images/1.png", "test/images/2.png"], ["test/images", "train/images"]),
        (["a/test07/1.png", "a/test08/2.png", "3.png"], [".", "a/test07", "a/test08"]),
    ],
)
def test_a_folder_in_several_splits_is_one_group(paths, groups):
    assert sorted({find_group_name("folder", path, {}) for path in paths}) == groups


@pytest.mark.fault(
    2, "data.group_by=folder: folders of one name in two places are two groups, without a word"
)
def test_folders_of_one_name_in_several_places_are_told():
    paths = ["benign/p7/1.png", "malignant/p7/2.png", "benign/p8/3.png"]
    links, remarks = link_named_groups("folder", {path: {} for path in paths})
    assert not links
    assert "benign/p7, malignant/p7" in remarks[1]
    typed = next(word for word in shlex.split(remarks[1]) if word.startswith("data.group_by="))
    [override] = to_hydra_overrides([typed])
    links, _ = link_named_groups(str(override.value()), {path: {} for path in paths})
    assert links == [ImageLink("benign/p7/1.png", "malignant/p7/2.png", "named")]


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ("(", r"data\.group_by=\( is no regular expression"),
        ("nowhere", "names no group for any of 4 images: the first path is day1/cam-a_01.jpg"),
        ("column:x", "for any of 4 images: there are the columns patient"),
    ],
)
def test_group_by_without_any_group_is_refused(by, sentence):
    with pytest.raises(UserError, match=sentence):
        link_named_groups(by, {path: {"patient": "1"} for path in PATHS})


def test_grouping_is_suggested_for_versions_of_one_original():
    paths = [
        "train/a_jpg.rf.0123456789ab.jpg",
        "train/a_jpg.rf.ba9876543210.jpg",
        "test/b_jpg.rf.0123456789ab.jpg",
    ]
    (suggestion,) = suggest_grouping(paths)
    assert "1 image is a further version of another" in suggestion
    typed = next(word for word in shlex.split(suggestion) if word.startswith("data.group_by="))
    [override] = to_hydra_overrides([typed])
    pattern = str(override.value())
    links, _ = link_named_groups(pattern, {path: {} for path in paths})
    assert [(one, other) for one, other, _ in links] == [(paths[0], paths[1])]
    assert suggest_grouping(["a.jpg", "b.jpg"]) == []
