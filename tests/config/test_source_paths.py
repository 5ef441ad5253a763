"""The paths in data.source and their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.source_paths import (
    find_source_folder,
    list_source_paths,
    name_source,
    resolve_source_path,
    resolve_sources,
)
from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("source", "paths", "name"),
    [
        (None, [], ""),
        ("/data/bottles", ["/data/bottles"], "bottles"),
        (["/data/a", "b.zip"], ["/data/a", "b.zip"], "a+b.zip"),
        (list("abcde"), list("abcde"), "a+b+c+2 more"),
    ],
)
def test_paths_and_short_name(source, paths, name):
    assert list_source_paths(source) == paths
    assert name_source(source) == name


def test_relative_paths_start_at_the_root_and_the_home_folder_is_known(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    root = Path("/project")
    assert resolve_source_path(root, "data/raw") == Path("/project/data/raw")
    assert resolve_source_path(root, "~/raw") == Path("/home/me/raw")
    assert resolve_source_path(root, "~no-such-user-here") == Path("/project/~no-such-user-here")


def test_a_single_source_has_no_name_and_several_have_unique_ones():
    root = Path("/project")
    assert resolve_sources(root, None) == {}
    assert resolve_sources(root, "a") == resolve_sources(root, ["a"]) == {"": root / "a"}
    several = ["/x/one", "/y/two", "/x/same/train", "/y/same/train", "/z/TRAIN"]
    assert list(resolve_sources(root, several)) == ["one", "two", "x_same_train", "y_same_train", "z_TRAIN"]
    assert list(resolve_sources(root, ["/a", "/b/a"])) == ["a", "b_a"]


@pytest.mark.parametrize("source", [["/x/a", "/x/a"], ["/x", "/x/a"], ["/x/a/../b", "/x/b/c"]])
def test_a_source_within_another_is_refused(source):
    with pytest.raises(UserError, match="one contains the other"):
        resolve_sources(Path("/project"), source)


@pytest.mark.parametrize(
    ("files", "named", "folder"),
    [
        (["images/a.jpg"], "annotations/x.json", "."),
        (["train/a.jpg"], "annotations/x.json", "."),
        (["annotations/a.jpg"], "annotations/x.json", "annotations"),
        (["annotations/in/a.PNG", "images/a.jpg"], "annotations/x.json", "annotations"),
        (["images/a.jpg"], "inner/data.yaml", "inner"),
        (["images/a.jpg"], "inner/x.json", "."),
        (["other/a.jpg"], "inner/x.json", "inner"),
        (["images/a.jpg"], "images", "images"),
    ],
)
def test_the_folder_of_a_dataset_file_holds_its_images(tmp_path, files, named, folder):
    for name in (*files, named if "." in named else "x"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).touch()
    assert find_source_folder(tmp_path / "d" / named) == tmp_path / "d" / folder
