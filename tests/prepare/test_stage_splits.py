"""What belongs together stays together, from image files to data/prepared and the tag of a run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import DIVISION, PREPARED, SPLITS
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import stage
from pipeline.prepare.splits import history
from tests import sources
from tests.sources import config

LABEL = "0 0.5 0.5 0.2 0.4\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, **changes) -> Manifest:
    stage.run(config("yolo", folder, **{"near_duplicates": True, "on_leak": "refuse", **changes}))
    return read_manifest(PREPARED)


def copied(image: Path, *, to: Path) -> None:
    """Write a mirrored, smaller, darker, heavily compressed copy, with its label."""
    pixels = cv2.imread(str(image))[2:, ::-1]
    small = cv2.resize(pixels, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(to), small * 0.8, [cv2.IMWRITE_JPEG_QUALITY, 60])
    label = Path(str(to).replace("images", "labels")).with_suffix(".txt")
    label.write_text(LABEL)


@pytest.fixture
def split(tmp_path) -> Path:
    """A dataset with a split of its own, in which a test image is a copy of one of train."""
    folder = tmp_path / "source"
    for part in SPLITS:
        sources.yolo(folder, {f"{part}/{part}{number}": LABEL for number in range(5)}, names=None)
    copied(folder / "images/train/train0.jpg", to=folder / "images/test/copy.jpg")
    (folder / "data.yaml").write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnames: [a, b]\n"
    )
    return folder


def test_a_near_copy_across_a_split_that_came_with_the_data_is_refused(split):
    with pytest.raises(UserError) as refused:
        run(split)
    assert "images/test/copy.jpg (test) and images/train/train0.jpg (train)" in str(refused.value)
    assert not PREPARED.exists()


def test_where_that_is_allowed_the_manifest_says_so(split, capsys):
    assert run(split, on_leak="allow").leak == 1
    assert "leaks: 1 image of val or test" in capsys.readouterr().out
    assert run(split, near_duplicates=False).leak == 0


def test_a_division_of_our_own_keeps_copies_together_and_is_written_down(split):
    made = run(split, keep_split=False)
    sides = {item.source: item.split for item in made.items}
    assert sides["images/test/copy.jpg"] == sides["images/train/train0.jpg"]
    written = history.parse(DIVISION.read_text())
    assert written.sides == {history.short(item.sha256): item.split for item in made.items}
    assert str(split) not in DIVISION.read_text()


def test_groups_by_folder_and_by_pattern(split):
    with pytest.raises(UserError, match=r"pairs by data\.group_by"):
        run(split, near_duplicates=False, group_by=r"\d")
    whole = {"keep_split": False, "near_duplicates": False}
    made = run(split, group_by="folder", **whole)
    folders = {Path(item.source).parent: item.split for item in made.items}
    assert sorted(folders.values()) == ["test", "train", "val"]
    assert all(folders[Path(item.source).parent] == item.split for item in made.items)
    made = run(split, group_by=r"(\d)\.jpg", **whole)
    numbers = {item.source[-5]: item.split for item in made.items}
    assert all(numbers[item.source[-5]] == item.split for item in made.items)
    said = json.loads((PREPARED / "defects.json").read_text())["remarks"]
    assert (
        "data.group_by=(\\d)\\.jpg: 5 groups of 15 images; 1 image in none, a group of its own each" in said
    )


def test_folds_go_round_over_the_same_test_images(split):
    made = [run(split, keep_split=False, folds=3, fold=fold) for fold in range(3)]
    tests = [{item.source for item in each.of("test")} for each in made]
    vals = [item.source for each in made for item in each.of("val")]
    assert (
        tests[0] == tests[1] == tests[2] == {item.source for item in run(split, keep_split=False).of("test")}
    )
    assert sorted([*vals, *tests[0]]) == sorted(item.source for item in made[0].items)
