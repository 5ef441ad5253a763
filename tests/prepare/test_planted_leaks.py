"""Copies of train images planted in val or test of a split of the source: refused by name, or recorded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from tests import sources
from tests.sources import prepare_config, write_picture

LABEL = "0 0.5 0.5 0.2 0.4\n"
Change = Callable[[np.ndarray], np.ndarray]


def resize(factor: float) -> Change:
    return lambda image: cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


COPIES: dict[str, tuple[Change, str, list[int]]] = {
    "re-encoded": (lambda image: image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 40]),
    "another format": (lambda image: image, ".png", []),
    "smaller": (resize(0.5), ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 80]),
    "larger": (resize(2.0), ".png", []),
    "mirrored": (lambda image: image[:, ::-1], ".png", []),
    "upside down": (lambda image: image[::-1], ".png", []),
    "turned": (lambda image: np.rot90(image), ".png", []),
    "darker": (lambda image: image * 0.6, ".png", []),
    "gray": (lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), ".png", []),
    "cropped": (lambda image: image[8:-4, 6:-6], ".png", []),
    "blurred": (lambda image: cv2.GaussianBlur(image, (7, 7), 2), ".png", []),
    "all at once": (lambda image: resize(0.6)(image[6:, ::-1]) * 0.8, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, 60]),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A source with a split of its own, without a leak."""
    folder = tmp_path_factory.mktemp("clean") / "source"
    for part, count in (("train", 8), ("val", 3), ("test", 3)):
        for number in range(count):
            write_picture(folder / f"images/{part}/{part}{number}.jpg", size=(192, 160))
            label = folder / f"labels/{part}/{part}{number}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(LABEL)
    text = "".join(f"{part}: images/{part}\n" for part in ("train", "val", "test"))
    (folder / "data.yaml").write_text(f"{text}names: [a]\n")
    return folder


@pytest.fixture
def source(clean, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(clean, tmp_path / "source"))


def plant(source: Path, name: str, part: str) -> str:
    """Write a changed copy of the first train image into a split; return its path in the source."""
    change, suffix, options = COPIES[name]
    image = change(cv2.imread(str(source / "images/train/train0.jpg")))
    file = f"images/{part}/planted{suffix}"
    cv2.imwrite(str(source / file), image.astype(np.uint8), options)
    (source / f"labels/{part}/planted.txt").write_text(LABEL)
    return file


def prepare(source: Path, **changes):
    run_stage(prepare_config("yolo", source, **{"near_duplicates": True, "on_leak": "refuse", **changes}))
    return read_manifest(PREPARED_FOLDER)


def test_a_split_without_a_leak_is_kept(source):
    assert prepare(source).leak == 0


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize("name", COPIES)
@pytest.mark.fault(2, "a changed copy of a train image in val or test")
def test_a_planted_copy_is_refused_by_name(source, name, part):
    file = plant(source, name, part)
    with pytest.raises(UserError) as refused:
        prepare(source)
    assert f"{file} ({part}) and images/train/train0.jpg (train)" in str(refused.value)
    assert not PREPARED_FOLDER.exists()


@pytest.mark.fault(2, "copies of train images in val and test, which are allowed")
def test_allowed_leaks_are_counted_and_a_new_split_has_none(source):
    plant(source, "mirrored", "val")
    plant(source, "darker", "test")
    assert prepare(source, on_leak="allow").leak == 2
    made = prepare(source, keep_split=False)
    sides = {item.split for item in made.items if "planted" in item.source or "train0" in item.source}
    assert (made.leak, len(sides)) == (0, 1)


@pytest.mark.fault(2, "an equal file in two splits")
def test_an_equal_file_is_refused_even_if_near_duplicates_are_not_searched(source):
    for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
        shutil.copy(source / f"{kind}/train/train0{suffix}", source / f"{kind}/test/again{suffix}")
    with pytest.raises(UserError, match=r"1 pair byte for byte"):
        prepare(source, near_duplicates=False)


@pytest.mark.fault(2, "images of one group in two splits")
def test_a_group_across_splits_is_refused(source):
    with pytest.raises(UserError, match=r"by data\.group_by"):
        prepare(source, group_by=r"(\d)\.jpg")
    assert prepare(source, group_by=r"(\d)\.jpg", keep_split=False).leak == 0


@pytest.mark.fault(2, "a copy in another source, whose split differs")
def test_a_leak_between_two_sources_is_refused(source, tmp_path):
    other = sources.write_yolo_source(
        tmp_path / "other",
        {f"{part}/{number}": LABEL for part in ("train", "test") for number in range(3)},
        names=None,
    )
    (other / "data.yaml").write_text("train: images/train\ntest: images/test\nnames: [a]\n")
    plain = cv2.imread(str(source / "images/train/train0.jpg"))
    cv2.imwrite(str(other / "images/test/planted.png"), plain[:, ::-1])
    (other / "labels/test/planted.txt").write_text(LABEL)
    with pytest.raises(UserError, match=r"planted\.png \(test\) and .*train0\.jpg \(train\)"):
        run_stage(prepare_config("yolo", [str(source), str(other)], near_duplicates=True, on_leak="refuse"))
