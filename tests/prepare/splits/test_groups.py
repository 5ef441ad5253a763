import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.splits import groups as splits_groups
from pipeline.prepare.splits.groups import ImageLink


def link(one: str, other: str) -> ImageLink:
    return ImageLink(one, other, "near")


def test_links_connect_through_others():
    groups = splits_groups.connect("abcdef", [link("b", "a"), link("c", "b"), link("e", "f")])
    assert groups == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e", "f": "e"}
    assert splits_groups.members(groups) == [["a", "b", "c"], ["e", "f"]]


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=20), st.randoms())
def test_groups_are_those_of_reachability_whatever_the_order(pairs, random):
    keys = [f"{number:02d}" for number in range(16)]
    links = [link(keys[one], keys[other]) for one, other in pairs]
    groups = splits_groups.connect(keys, links)
    assert splits_groups.connect(keys, random.sample(links, len(links))) == groups
    reached = {key: {key} for key in keys}
    for _ in keys:
        for one, other, _ in links:
            reached[one] = reached[other] = reached[one] | reached[other]
            for key in reached[one]:
                reached[key] = reached[one]
    assert groups == {key: min(reached[key]) for key in keys}


def test_equal_images_are_linked():
    assert splits_groups.equal({"a": "1", "b": "2", "c": "1", "d": "1"}) == [
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
def test_groups_by_folder_pattern_and_column(by, together, alone):
    patients = ["p1", "p2", "p2", ""]
    columns = {path: {"patient": patient} for path, patient in zip(PATHS, patients, strict=True)}
    links, remarks = splits_groups.named(by, columns)
    found = splits_groups.members(splits_groups.connect(PATHS, links))
    assert [{PATHS.index(path) for path in group} for group in found] == together
    assert len(remarks) == 1
    assert ("; 1 image in none, a group of its own each" in remarks[0]) == bool(alone)


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ("(", r"data\.group_by=\( is no regular expression"),
        ("nowhere", "names no group for any of 4 images: the first path is day1/cam-a_01.jpg"),
        ("column:x", "for any of 4 images: there are the columns patient"),
    ],
)
def test_what_names_no_group_is_refused(by, sentence):
    with pytest.raises(UserError, match=sentence):
        splits_groups.named(by, {path: {"patient": "1"} for path in PATHS})


def test_file_names_that_tell_of_one_original_are_spoken_of():
    paths = [
        "train/a_jpg.rf.0123456789ab.jpg",
        "train/a_jpg.rf.ba9876543210.jpg",
        "test/b_jpg.rf.0123456789ab.jpg",
    ]
    (said,) = splits_groups.suspects(paths)
    assert "1 image is a further version of another" in said
    pattern = said.partition("data.group_by='")[2].partition("'")[0]
    links, _ = splits_groups.named(pattern, {path: {} for path in paths})
    assert [(one, other) for one, other, _ in links] == [(paths[0], paths[1])]
    assert splits_groups.suspects(["a.jpg", "b.jpg"]) == []
