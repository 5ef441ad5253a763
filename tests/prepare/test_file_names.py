import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.file_names import stems


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
def test_a_name_stays_readable_and_is_safe(source, stem):
    assert stems([source]) == [stem]


def test_names_that_are_no_utf8_get_names_too():
    assert len(set(stems(["pi\udce8ce/x.jpg", "pi\udce9ce/x.jpg", "pi\udce8ce.jpg"]))) == 3


def test_the_same_stem_in_two_folders_or_with_two_suffixes_gives_two_names():
    sources = ["a/x.jpg", "b/x.jpg", "b/x.png", "b/X.jpg", "b/y.jpg"]
    found = stems(sources)
    assert len({name.casefold() for name in found}) == 5
    assert all(name.lower().startswith("x-") for name in found[:4])
    assert found[4] == "y"


def test_names_do_not_depend_on_order_nor_on_other_images():
    both = dict(zip(["a/x.jpg", "b/x.jpg"], stems(["a/x.jpg", "b/x.jpg"]), strict=True))
    again = dict(zip(["b/x.jpg", "c.jpg", "a/x.jpg"], stems(["b/x.jpg", "c.jpg", "a/x.jpg"]), strict=True))
    assert both["a/x.jpg"] == again["a/x.jpg"]
    assert both["b/x.jpg"] == again["b/x.jpg"]


def test_a_name_that_looks_like_a_hashed_one_does_not_collide():
    hashed = stems(["a/x.jpg", "b/x.jpg"])[0]
    found = stems(["a/x.jpg", "b/x.jpg", f"{hashed}.jpg"])
    assert len(set(found)) == 3


@given(st.lists(st.text("ab/é漢. -", min_size=1, max_size=300), max_size=12, unique=True))
def test_names_are_unique_and_short_whatever_the_sources(sources):
    found = stems(sources)
    assert len({name.casefold() for name in found}) == len(sources)
    assert all(0 < len(name.encode()) < 220 and "/" not in name for name in found)
