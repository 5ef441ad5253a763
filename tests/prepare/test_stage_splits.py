"""Splits of the prepare stage: duplicates and groups stay together, and folds share their test images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import pytest

from pipeline.__main__ import main
from pipeline.compose.lockfile import read_lock, write_lock
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER, SPLITS, SPLITS_FILE, SPLITS_LOCK_FILE
from pipeline.dataset.image_columns import read_image_columns
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.splits.history import parse_history, shorten_hash
from pipeline.prepare.stage import run_stage
from pipeline.prepare.stored_splits import carry_over_splits
from pipeline.storage.files import write_file
from tests import sources
from tests.sources import prepare_config

LABEL = "0 0.5 0.5 0.2 0.4\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, **changes) -> Manifest:
    run_stage(prepare_config("yolo", folder, **{"near_duplicates": True, "on_leak": "refuse", **changes}))
    return read_manifest(PREPARED_FOLDER)


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
        sources.write_yolo_source(
            folder, {f"{part}/{part}{number}": LABEL for number in range(5)}, names=None
        )
    copied(folder / "images/train/train0.jpg", to=folder / "images/test/copy.jpg")
    (folder / "data.yaml").write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnames: [a, b]\n"
    )
    return folder


def test_near_duplicate_across_splits_of_the_source_is_refused(split):
    with pytest.raises(UserError) as refused:
        run(split)
    assert "images/test/copy.jpg (test) and images/train/train0.jpg (train)" in str(refused.value)
    assert not PREPARED_FOLDER.exists()


def test_allowed_leak_is_counted_in_the_manifest(split, capsys):
    assert run(split, on_leak="allow").leak == 1
    assert "leaks: 1 image of val or test" in capsys.readouterr().out
    assert run(split, near_duplicates=False).leak == 0


def test_new_split_keeps_near_duplicates_together_and_is_stored(split):
    made = run(split, keep_split=False)
    sides = {record.source: record.split for record in made.items}
    assert sides["images/test/copy.jpg"] == sides["images/train/train0.jpg"]
    columns = {record.source: read_image_columns(made)[record.file] for record in made.items}
    groups = {source: row.group for source, row in columns.items()}
    assert groups["images/test/copy.jpg"] == groups["images/train/train0.jpg"]
    assert len(set(groups.values())) == len(groups) - 1
    assert 0 < columns["images/test/copy.jpg"].brightness < columns["images/train/train0.jpg"].brightness
    written = parse_history(SPLITS_FILE.read_text())
    assert written.sides == {shorten_hash(record.sha256): record.split for record in made.items}
    assert str(split) not in SPLITS_FILE.read_text()


def test_groups_by_folder_and_by_pattern_stay_together(split):
    with pytest.raises(UserError, match=r"pairs by data\.group_by"):
        run(split, near_duplicates=False, group_by=r"\d")
    whole = {"keep_split": False, "near_duplicates": False}
    made = run(split, group_by="folder", **whole)
    folders = {Path(record.source).parent: record.split for record in made.items}
    assert sorted(folders.values()) == ["test", "train", "val"]
    assert all(folders[Path(record.source).parent] == record.split for record in made.items)
    made = run(split, group_by=r"(\d)\.jpg", **whole)
    numbers = {record.source[-5]: record.split for record in made.items}
    assert all(numbers[record.source[-5]] == record.split for record in made.items)
    said = json.loads((PREPARED_FOLDER / "defects.json").read_text())["remarks"]
    assert (
        "data.group_by=(\\d)\\.jpg: 5 groups of 15 images; 1 image in none, a group of its own each" in said
    )


def test_folds_rotate_val_and_keep_the_test_images(split):
    made = [run(split, keep_split=False, folds=3, fold=fold) for fold in range(3)]
    tests = [{record.source for record in each.in_split("test")} for each in made]
    vals = [record.source for each in made for record in each.in_split("val")]
    assert (
        tests[0]
        == tests[1]
        == tests[2]
        == {record.source for record in run(split, keep_split=False).in_split("test")}
    )
    assert sorted([*vals, *tests[0]]) == sorted(record.source for record in made[0].items)


def test_a_fraction_is_a_part_of_train_and_val_and_test_stay(split, capsys):
    whole = run(split, keep_split=False)
    history = SPLITS_FILE.read_text()
    half = run(split, keep_split=False, fraction=0.5)
    assert SPLITS_FILE.read_text() == history
    assert [half.in_split(name) for name in ("val", "test")] == [
        whole.in_split(name) for name in ("val", "test")
    ]
    assert set(half.in_split("train")) < set(whole.in_split("train"))
    assert half.digest != whole.digest
    other = run(split, keep_split=False, fraction=0.5, fraction_seed=1)
    assert other.digest != half.digest
    defects = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    assert (defects["in"], defects["used"]) == (len(other.items), len(other.items))
    assert "data.fraction leaves" not in capsys.readouterr().out  # class b has no object anywhere


@pytest.mark.fault(10, "data.fraction is blamed for classes that have no object")
def test_classes_that_a_fraction_leaves_out_are_named(tmp_path, capsys):
    labels = {f"train/{number}": LABEL for number in range(5)}
    labels |= {"train/5": "1 0.5 0.5 0.2 0.4\n", "val/6": LABEL, "test/7": LABEL}
    source = sources.write_yolo_source(tmp_path / "source", labels, names=None)
    (source / "data.yaml").write_text(
        "train: images/train\nval: images/val\ntest: images/test\nnames: [a, b, c]\n"
    )
    for seed in range(3):
        counts = run(source, near_duplicates=False, fraction=0.2, fraction_seed=seed).count_objects("train")
        told = [line for line in capsys.readouterr().out.splitlines() if "data.fraction leaves" in line]
        lost = [name for name in ("a", "b") if not counts[name]]  # one image has one of both classes
        assert [line.rpartition(": ")[2] for line in told] == lost


def compose_and_run(folder: Path, **changes) -> Manifest:
    """Carry the splits of the last prepare over, as compose does, and run the stage."""
    config = prepare_config("yolo", folder, **{"near_duplicates": True, **changes})
    stored = carry_over_splits(config.data.model_dump(), str(folder), read_lock(), code="")
    if stored.content is not None:
        write_file(SPLITS_LOCK_FILE, stored.content)
    write_lock({"conf": "", "composed": {}, **stored.entries})
    SPLITS_FILE.unlink(missing_ok=True)  # as DVC does, before the stage
    run_stage(config)
    return read_manifest(PREPARED_FOLDER)


def copy_images(source: Path, target: Path, records: Iterable[ImageRecord]) -> Path:
    """Copy images and their labels into a source of their own."""
    for record in records:
        for file in (record.source, record.source.replace("images/", "labels/").replace(".jpg", ".txt")):
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / file, target / file)
    shutil.copy(source / "data.yaml", target / "data.yaml")
    return target


@pytest.fixture
def divided(tmp_path) -> tuple[Path, Manifest]:
    """A dataset of 60 images, as an earlier prepare split it."""
    folder = sources.write_yolo_source(tmp_path / "large", {f"{n:02d}": LABEL for n in range(60)})
    return folder, compose_and_run(folder)


def test_part_of_an_earlier_source_is_split_again_where_a_split_would_be_empty(tmp_path, divided, capsys):
    folder, made = divided
    small = copy_images(folder, tmp_path / "small", made.in_split("train")[:12])
    capsys.readouterr()
    assert main(["inspect", str(small)]) == 0
    foreseen = capsys.readouterr().out
    again = compose_and_run(small)
    printed = capsys.readouterr().out
    assert all(again.in_split(split) for split in SPLITS)
    for output in (foreseen, printed):
        assert "the split of the last prepare (splits.lock.json) has no image here for test and val" in output


def test_part_with_test_images_alone_is_refused_as_inspect_foresees_it(tmp_path, divided, capsys):
    folder, made = divided
    small = copy_images(folder, tmp_path / "small", made.in_split("test"))
    assert main(["inspect", str(small)]) == 0
    foreseen = capsys.readouterr().out
    with pytest.raises(UserError, match=r"9 images are kept in test .*\(splits\.lock\.json\)") as refused:
        compose_and_run(small)
    assert f"prepare would stop: {refused.value}" in foreseen
    assert all(compose_and_run(small, seed=1).in_split(split) for split in SPLITS)


def test_folder_of_a_set_that_was_prepared_whole_is_split(tmp_path):
    whole = tmp_path / "whole"
    for split in ("train", "val", "test"):
        sources.write_yolo_source(whole / split, {f"{split}{n}": LABEL for n in range(12)})
    (whole / "data.yaml").write_text(
        "{train: train/images, val: val/images, test: test/images, names: [a, b]}"
    )
    compose_and_run(whole)
    for split in ("train", "val", "test"):
        again = compose_and_run(whole / split)
        assert all(again.in_split(each) for each in SPLITS)


def test_images_that_no_split_lists_are_refused_when_asked(tmp_path):
    folder = tmp_path / "voc"
    for number in range(8):
        sources.write_picture(folder / f"JPEGImages/{number}.jpg", size=(90 + number, 80))
        sources.write_voc_file(
            folder / f"Annotations/{number}.xml", [("a", (10, 20, 50, 60))], size=(90 + number, 80)
        )
    for split, listed in (("train", "0123"), ("val", "45")):
        path = folder / f"ImageSets/Main/{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(listed))
    with pytest.raises(UserError, match=r"2 files of .* with defects"):
        run_stage(prepare_config("voc", folder, on_defect="refuse"))
    run_stage(prepare_config("voc", folder))
    assert len(read_manifest(PREPARED_FOLDER).items) == 6
