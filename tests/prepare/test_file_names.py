"""File names of the prepared dataset: readable, safe and unique."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.file_names import assign_file_stems


@pytest.mark.parametrize(
    ("source", "stem"),
    [
        ("images/train/part 01.jpg", "part_01"),
        ("a/b/IMG(1)[x]*?.JPG", "IMG_1_x"),
        ("裂纹_01.png", "裂纹_01"),
        ("._hidden.jpg", "hidden"),
        ("-rf.jpg", "rf"),
        ("%20.jpg", "20"),
        ("***.jpg", "image"),
        ("image.rf.abc.jpg", "image.rf.abc"),
    ],
)
def test_stem_is_readable_and_safe(source, stem):
    assert assign_file_stems([source]) == [stem]


def test_names_that_are_not_utf8_get_unique_stems():
    assert len(set(assign_file_stems(["pi\udce8ce/x.jpg", "pi\udce9ce/x.jpg", "pi\udce8ce.jpg"]))) == 3


def test_equal_stems_in_two_folders_or_with_two_suffixes_get_unique_stems():
    sources = ["a/x.jpg", "b/x.jpg", "b/x.png", "b/X.jpg", "b/y.jpg"]
    found = assign_file_stems(sources)
    assert len({name.casefold() for name in found}) == 5
    assert all(name.lower().startswith("x-") for name in found[:4])
    assert found[4] == "y"


def test_stems_do_not_depend_on_order_or_other_images():
    both = dict(zip(["a/x.jpg", "b/x.jpg"], assign_file_stems(["a/x.jpg", "b/x.jpg"]), strict=True))
    again = dict(
        zip(["b/x.jpg", "c.jpg", "a/x.jpg"], assign_file_stems(["b/x.jpg", "c.jpg", "a/x.jpg"]), strict=True)
    )
    assert both["a/x.jpg"] == again["a/x.jpg"]
    assert both["b/x.jpg"] == again["b/x.jpg"]


def test_name_equal_to_a_stem_with_hash_stays_unique():
    hashed = assign_file_stems(["a/x.jpg", "b/x.jpg"])[0]
    found = assign_file_stems(["a/x.jpg", "b/x.jpg", f"{hashed}.jpg"])
    assert len(set(found)) == 3


@given(st.lists(st.text("ab/é漢. -", min_size=1, max_size=300), max_size=12, unique=True))
def test_stems_are_unique_and_short_for_any_sources(sources):
    found = assign_file_stems(sources)
    assert len({name.casefold() for name in found}) == len(sources)
    assert all(0 < len(name.encode()) < 220 and "/" not in name for name in found)
