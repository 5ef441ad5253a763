"""Images of one name by their folders: the same ones as a comparison of each path gives."""

from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.path_group import PathGroup

FOLDERS = st.lists(st.sampled_from(["a", "b", "images", "x.jpg"]), max_size=4)


def keep_maximal(paths, parts, wanted):
    """Keep the paths of whose `parts` most are equal to the wanted ones, from the first."""
    counts = [len([*takewhile(lambda pair: pair[0] == pair[1], zip(parts(path), wanted))]) for path in paths]  # noqa: B905
    return [path for path, count in zip(paths, counts, strict=True) if count == max(counts)]


@given(st.lists(FOLDERS, min_size=1, max_size=8), FOLDERS)
def test_paths_with_most_equal_parts_are_kept(places, wanted):
    paths = [Path("/", *place, "x.jpg") for place in places]
    group = PathGroup(paths)
    ends = keep_maximal(paths, lambda path: path.parts[-2::-1], wanted[::-1])
    assert group.keep_equal_ends(wanted).paths == ends
    start = ("/", *wanted)
    assert group.keep_equal_starts(start).paths == keep_maximal(paths, lambda path: path.parts, start)
    both = keep_maximal(ends, lambda path: path.parts, start)
    assert group.keep_equal_ends(wanted).keep_equal_starts(start).paths == both


@pytest.mark.parametrize("ends", [True, False])
def test_no_paths_are_kept_of_none(ends):
    group = PathGroup([])
    assert not (group.keep_equal_ends(("a",)) if ends else group.keep_equal_starts(("/", "a"))).paths
