"""The augment stage on a prepared dataset: files, records, reproducibility, errors."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.augment.image_files import read_image
from pipeline.augment.parameters import AugmentationParameters
from pipeline.augment.stage import run_stage
from pipeline.augment.transform_image import transform_image
from pipeline.config.groups.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED_FOLDER, PREPARED_FOLDER
from pipeline.dataset.augmented import read_augmentation_records
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from tests.builders import prepared_dataset
from tests.disks import filled_disk, mount_small_disk
from tests.sources import LOCAL

ALL = {
    "multiplier": 4, "balance": 0.0, "probability": 0.5, "rotate": 20.0, "fliplr": 0.5, "flipud": 0.5,
    "brightness": 0.2, "contrast": 0.2, "blur": 1.0, "noise": 0.03, "scale": 0.2, "crop": 0.2,
    "copy_paste": 0.0, "visible": 0.3, "workers": 2,
}  # fmt: skip
TRAIN = {"train": 5, "val": 2, "test": 2}
ROOT = Path(__file__).parents[2]


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from pipeline.augment import stage
from pipeline.config.groups.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.groups.compute import ComputeConfig
from pipeline.config.schema import Config
group = AugmentConfig.model_construct(offline=OfflineAugmentation(**{offline}))
local = ComputeConfig(backend="local", address="auto")
stage.run_stage(Config.model_construct(seed=0, augment=group, compute=local))
"""


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare()


def prepare(images=None, **drawn):
    shutil.rmtree(PREPARED_FOLDER, ignore_errors=True)
    prepared_dataset(PREPARED_FOLDER, images=images or TRAIN, **drawn)


def run(seed=0, **offline):
    """Run the stage with the groups that it reads."""
    group = AugmentConfig.model_construct(offline=OfflineAugmentation(**{**ALL, **offline}))
    run_stage(Config.model_construct(seed=seed, augment=group, compute=LOCAL))
    return read_augmentation_records(AUGMENTED_FOLDER)


def contents(folder):
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pixels(path):
    return cv2.imread(str(path), cv2.IMREAD_COLOR)


def test_only_train_images_are_copied_and_every_file_has_a_record():
    before = contents(PREPARED_FOLDER)
    records = run()
    assert sorted({copy.source for copy in records.copies}) == [f"train/train_00{n}.png" for n in range(5)]
    assert sorted(copy.file for copy in records.copies if copy.source == "train/train_000.png") == [
        f"train/train_000_a{n}.png" for n in (1, 2, 3)
    ]
    written = set(contents(AUGMENTED_FOLDER)) - {"records.json", "samples/sheet_1.jpg", "samples/sheet_2.jpg"}
    assert written == {f"images/{c.file}" for c in records.copies} | {
        f"labels/{c.label_file}" for c in records.copies
    }
    assert contents(PREPARED_FOLDER) == before


def test_labels_match_the_records():
    for copy in run(crop=0.7, probability=1.0).copies:
        labels = parse_labels((AUGMENTED_FOLDER / "labels" / copy.label_file).read_text())
        source = (PREPARED_FOLDER / "labels" / copy.source).with_suffix(".txt")
        assert tuple(labels.classes.tolist()) == copy.classes
        assert len(labels) + copy.dropped == len(parse_labels(source.read_text()))


def test_boxes_enclose_the_drawn_objects():
    """Discs and squares are brighter than the noise, so that their pixels can be found without boxes."""
    for copy in run(rotate=0.0, blur=0.0, noise=0.0, brightness=0.0, contrast=0.0, visible=0.0).copies:
        is_bright = pixels(AUGMENTED_FOLDER / "images" / copy.file).max(axis=2) > 180
        boxes = xywhn_to_xyxy(
            parse_labels((AUGMENTED_FOLDER / "labels" / copy.label_file).read_text()).boxes, 96, 96
        )
        inside = np.zeros_like(is_bright)
        for x1, y1, x2, y2 in boxes.round().astype(int):
            inside[max(0, y1 - 1) : y2 + 1, max(0, x1 - 1) : x2 + 1] = True
            assert is_bright[y1:y2, x1:x2].any()
        assert not (is_bright & ~inside).any()


def test_copy_can_be_reproduced_from_its_record():
    for copy in run().copies:
        source = pixels(PREPARED_FOLDER / "images" / copy.source)
        again = transform_image(source, AugmentationParameters(**copy.transforms), copy.seed)
        assert np.array_equal(again, pixels(AUGMENTED_FOLDER / "images" / copy.file))


def test_output_is_identical_for_any_number_of_workers():
    run(workers=1)
    alone = contents(AUGMENTED_FOLDER)
    run(workers=5)
    assert contents(AUGMENTED_FOLDER) == alone


def test_another_seed_gives_other_copies():
    assert run(seed=0).digest != run(seed=1).digest


def test_new_image_does_not_change_the_copies_of_others():
    few = {copy.file: copy for copy in run().copies}
    prepare({**TRAIN, "train": 6})
    more = {copy.file: copy for copy in run().copies}
    assert len(more) == len(few) + 3
    assert all(more[file] == copy for file, copy in few.items())


@pytest.mark.parametrize(("source", "written"), [(".jpg", ".jpg"), (".png", ".png"), (".bmp", ".png")])
def test_copies_of_jpeg_are_jpeg_and_of_other_formats_png(source, written):
    prepare({**TRAIN, "train": 2}, suffix=source)
    records = run()
    assert {Path(copy.file).suffix for copy in records.copies} == {written}
    assert all(pixels(AUGMENTED_FOLDER / "images" / copy.file) is not None for copy in records.copies)


def test_balance_copies_the_rare_class_more_often():
    prepare({**TRAIN, "train": 40}, shares=(0.9, 0.1, 0.0), objects=(1, 1), pixels=32)
    alike, balanced = (run(balance=balance, multiplier=3).count_objects() for balance in (0.0, 1.0))
    assert alike[1] < 0.3 * alike[0]
    assert balanced[1] == pytest.approx(balanced[0], abs=2)


def test_multiplier_one_writes_an_empty_dataset_without_importing_opencv():
    script = SCRIPT.format(root=str(ROOT), offline={**ALL, "multiplier": 1})
    Path("empty.py").write_text(f"{script}assert not {{'cv2', 'torch', 'ultralytics'}} & set(sys.modules)\n")
    subprocess.run([sys.executable, "empty.py"], check=True)
    records = read_augmentation_records(AUGMENTED_FOLDER)
    assert records.count == 0
    assert sorted(path.name for path in (AUGMENTED_FOLDER / "images").iterdir()) == ["train"]


def test_copies_of_backgrounds_have_empty_labels():
    prepare({"train": 8, "val": 8, "test": 8}, objects=(0, 1))
    empty = [copy for copy in run().copies if not copy.classes]
    assert empty
    for copy in empty:
        assert (AUGMENTED_FOLDER / "labels" / copy.label_file).read_text() == ""


def test_damaged_source_is_refused_and_earlier_output_stays():
    run()
    before = contents(AUGMENTED_FOLDER)
    damaged = PREPARED_FOLDER / "images/train/train_001.png"
    damaged.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"train_001\.png"):
        run()
    assert contents(AUGMENTED_FOLDER) == before
    assert {path.name for path in AUGMENTED_FOLDER.parent.iterdir()} == {"prepared", "augmented"}


def test_unreadable_source_is_refused_with_its_name(tmp_path):
    for data in (b"", b"no image"):
        (tmp_path / "x.png").write_bytes(data)
        with pytest.raises(UserError, match=r"x\.png cannot be read"):
            read_image(tmp_path / "x.png")


def test_interrupted_stage_leaves_no_partial_output():
    Path("long.py").write_text(SCRIPT.format(root=str(ROOT), offline={**ALL, "multiplier": 100}))
    stage = subprocess.Popen([sys.executable, "long.py"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(Path("data").glob(".augmented.*/images/train/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    stage.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in stage.communicate(timeout=60)[1]
    assert [path.name for path in Path("data").iterdir()] == ["prepared"]


def test_copies_of_an_earlier_dataset_are_refused():
    records = run()
    assert read_augmentation_records(AUGMENTED_FOLDER, prepared=records.prepared) == records
    with pytest.raises(UserError, match="earlier state"):
        read_augmentation_records(AUGMENTED_FOLDER, prepared="0" * 64)


def rewrite(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


RECORDS, IMAGE, LABEL = "records.json", "images/train/train_000_a1.png", "labels/train/train_000_a1.txt"
DAMAGES = {
    "records absent": (lambda folder: (folder / RECORDS).unlink(), "dvc repro"),
    "records cut": (lambda folder: (folder / RECORDS).write_text("{"), "cannot be used"),
    "records edited": (lambda folder: rewrite(folder / RECORDS, '"dropped": 0', '"dropped": 1'), "digest"),
    "image absent": (lambda folder: (folder / IMAGE).unlink(), "cannot be read"),
    "image changed": (lambda folder: (folder / IMAGE).write_bytes(b""), "not as augment wrote it"),
    "label changed": (lambda folder: (folder / LABEL).write_text("0 1 1 1 1"), "not as augment wrote it"),
    "image added": (lambda folder: (folder / "images/train/other.png").write_bytes(b""), "other.png"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_changed_dataset_is_detected_before_use(damage):
    change, words = DAMAGES[damage]
    run()
    change(AUGMENTED_FOLDER)
    with pytest.raises(UserError, match=words) as caught:
        read_augmentation_records(AUGMENTED_FOLDER)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", ["val", "test"])
def test_split_without_objects_is_refused_before_a_copy_is_drawn(split):
    prepare(images={"train": 3, **{name: 2 for name in ("val", "test") if name != split}})
    with pytest.raises(UserError, match=f"the {split} split of data/prepared has no labelled object"):
        run()
    assert not AUGMENTED_FOLDER.exists()


@pytest.mark.fault(13, "a full disk")
def test_disk_that_is_too_small_is_refused_or_leaves_the_old_copies(tmp_path, monkeypatch):
    with mount_small_disk(tmp_path / "disk", kilobytes=2000) as disk:
        monkeypatch.chdir(disk)
        prepare()
        before = run()
        with (
            filled_disk(disk, left=1000),
            pytest.raises(UserError, match="the 15 copies"),
        ):
            run()
        with filled_disk(disk, left=150_000), pytest.raises(OSError, match="No space left") as caught:
            run()
        assert caught.value.filename.startswith("data/augmented")
        assert read_augmentation_records(AUGMENTED_FOLDER) == before
        assert {path.name for path in AUGMENTED_FOLDER.parent.iterdir()} == {"prepared", "augmented"}
        monkeypatch.chdir(tmp_path)


def test_copies_of_bitmaps_that_fit_as_png_are_not_refused(monkeypatch):
    shutil.rmtree(PREPARED_FOLDER)
    prepared_dataset(PREPARED_FOLDER, images=TRAIN, pixels=64, suffix=".bmp")
    asked = []
    monkeypatch.setattr("pipeline.augment.stage.require_space", lambda _, needed, **__: asked.append(needed))
    run()
    assert asked == [0]
    assert {path.suffix for path in (AUGMENTED_FOLDER / "images/train").iterdir()} == {".png"}


@pytest.mark.fault(13, "limits of memory, threads, files (ulimit)")
@pytest.mark.parametrize("megabytes", [500, 700])
def test_too_little_memory_ends_with_a_sentence(tmp_path, megabytes):
    """OpenBLAS would interrupt or crash a process in which it can start no threads."""
    params = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(re.sub(r"multiplier: \d+", "multiplier: 2", params))
    limit = megabytes << 20
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "augment"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr
