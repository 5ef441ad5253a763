"""The augment stage for every task; test_labels_follow_pixels.py tests the geometry."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.augment.affine import Matrix
from pipeline.augment.parameters import AugmentationParameters
from pipeline.augment.stage import run_stage
from pipeline.augment.transform_image import paste_object, transform_image
from pipeline.config.groups.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED_FOLDER, PREPARED_FOLDER
from pipeline.core.tasks import TASKS
from pipeline.dataset.augmented import read_augmentation_records
from pipeline.dataset.manifest import serialize_manifest
from pipeline.dataset.prepared import read_labels
from tests.builders import prepared_for
from tests.sources import LOCAL

SOME = {
    "multiplier": 3, "balance": 0.0, "probability": 0.8, "rotate": 30.0, "fliplr": 0.5, "flipud": 0.5,
    "brightness": 0.05, "contrast": 0.0, "blur": 0.0, "noise": 0.0, "scale": 0.2, "crop": 0.3,
    "copy_paste": 0.0, "visible": 0.3, "workers": 2,
}  # fmt: skip
TRAIN = {"train": 6, "val": 2, "test": 2}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(manifest, seed=0, **offline):
    group = AugmentConfig.model_construct(offline=OfflineAugmentation(**{**SOME, **offline}))
    run_stage(Config.model_construct(seed=seed, augment=group, compute=LOCAL))
    records = read_augmentation_records(AUGMENTED_FOLDER, prepared=manifest.digest)
    return records, [labels(AUGMENTED_FOLDER, copy.label_file, manifest) for copy in records.copies]


def labels(folder, name, manifest):
    return read_labels(folder / "labels" / name, manifest.task)


def pixels(folder, name):
    return cv2.imread(str(folder / "images" / name), cv2.IMREAD_COLOR)


def has_class_color(image, cls):
    """Tell which pixels have the color of a class: blue or green."""
    return image[..., cls].astype(int) - image[..., 1 - cls] > 100


@pytest.mark.parametrize("task", TASKS)
def test_copies_have_the_labels_of_their_task(task, capsys):
    manifest = prepared_for(PREPARED_FOLDER, task, images=TRAIN)
    records, found = run(manifest)
    assert records.count == 12
    before = {item.file: item for item in manifest.items}
    for copy, marked in zip(records.copies, found, strict=True):
        assert tuple(marked.classes.tolist()) == copy.classes
        assert len(marked) + copy.dropped == len(before[copy.source].classes)
        image = pixels(AUGMENTED_FOLDER, copy.file)
        assert all(has_class_color(image, cls).any() for cls in marked.classes)
    assert f"{'images' if task == 'classify' else 'objects'} to train on: blue " in capsys.readouterr().out
    assert (AUGMENTED_FOLDER / "samples/sheet_1.jpg").stat().st_size > 1000


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_ultralytics_accepts_the_labels_of_barely_visible_objects(task):
    from ultralytics.data.utils import verify_image_label

    manifest = prepared_for(PREPARED_FOLDER, task, images=TRAIN)
    records, found = run(
        manifest, visible=0.02, multiplier=9, rotate=90.0, copy_paste=float(task == "segment")
    )
    for copy, marked in zip(records.copies, found, strict=True):
        files = (
            str(AUGMENTED_FOLDER / kind) for kind in (f"images/{copy.file}", f"labels/{copy.label_file}")
        )
        points = (3, 3) if task == "pose" else (0, 0)
        _, boxes, *_, complaint = verify_image_label((*files, "", task == "pose", 2, *points, False))
        assert complaint == ""
        assert len(boxes) == len(marked)


def test_key_points_keep_their_orientation_in_a_mirrored_copy():
    """Left, right and top have one orientation in every source, and after the swap in a mirrored copy too."""
    manifest = prepared_for(PREPARED_FOLDER, "pose", images=TRAIN)
    records, found = run(manifest, crop=0.0, scale=0.0, rotate=10.0, multiplier=8)
    flips = [
        bool(copy.transforms.get("fliplr")) != bool(copy.transforms.get("flipud")) for copy in records.copies
    ]
    assert any(flips)
    assert not all(flips)
    for marked in found:
        for points in marked.keypoints:
            if (points[:, 2] > 0).all():
                (x1, y1), (x2, y2) = points[1, :2] - points[0, :2], points[2, :2] - points[0, :2]
                assert x1 * y2 - x2 * y1 > 0


def test_no_copy_is_mirrored_where_it_is_not_known_which_key_points_change_places(capsys):
    posed = prepared_for(PREPARED_FOLDER, "pose", images=TRAIN)
    manifest = replace(posed, keypoints=replace(posed.keypoints, flip=()))
    (PREPARED_FOLDER / "manifest.json").write_text(serialize_manifest(manifest))
    records, _ = run(manifest, fliplr=1.0, multiplier=4)
    assert records.count == 18
    assert not any({"fliplr", "flipud"} & {*copy.transforms} for copy in records.copies)
    assert "none is mirrored" in capsys.readouterr().out
    with pytest.raises(UserError, match="flip_idx"):
        run(manifest, probability=0.0, multiplier=2)


def test_balance_copies_images_of_the_rare_class_more_often():
    manifest = prepared_for(PREPARED_FOLDER, "classify", images={**TRAIN, "train": 11})  # 6 blue, 5 green
    alike, balanced = (
        run(manifest, balance=balance, multiplier=21)[0].count_objects() for balance in (0.0, 1.0)
    )
    assert alike == {0: 120, 1: 100}
    assert balanced[0] == pytest.approx(110, abs=1)


def test_pasted_objects_come_from_train_and_the_record_reproduces_the_copy():
    manifest = prepared_for(PREPARED_FOLDER, "segment", images=TRAIN)
    records, found = run(manifest, copy_paste=1.0, scale=0.0, crop=0.0, multiplier=4)
    donors = {item.file for item in manifest.in_split("train")}
    assert sum(len(copy.pasted) for copy in records.copies) > records.count / 2
    for copy, marked in zip(records.copies, found, strict=True):
        image = pixels(PREPARED_FOLDER, copy.source)
        for one in copy.pasted:
            assert one.source in donors
            donor = pixels(PREPARED_FOLDER, one.source)
            outline = labels(PREPARED_FOLDER, one.source.replace(".png", ".txt"), manifest).outlines[
                one.object
            ]
            image = paste_object(image, donor, outline * 64, matrix(one.matrix))
        again = transform_image(image, AugmentationParameters(**copy.transforms), copy.seed)
        assert np.array_equal(again, pixels(AUGMENTED_FOLDER, copy.file))
        sources = [item for item in manifest.items if item.file == copy.source]
        assert len(marked) + copy.dropped == len(sources[0].classes) + len(copy.pasted)


def matrix(rows) -> Matrix:
    return np.array([*rows, 0, 0, 1], np.float64).reshape(3, 3)


def test_pasting_is_identical_for_any_number_of_threads():
    manifest = prepared_for(PREPARED_FOLDER, "segment", images=TRAIN)
    digests = {run(manifest, copy_paste=0.7, workers=workers)[0].digest for workers in (1, 3)}
    assert len(digests) == 1
    assert run(manifest, copy_paste=0.7, seed=1)[0].digest not in digests


@pytest.mark.parametrize("task", ["detect", "classify", "obb", "pose"])
def test_pasting_without_outlines_is_refused_before_writing(task):
    manifest = prepared_for(PREPARED_FOLDER, task)
    with pytest.raises(UserError, match=rf"copy_paste=0\.5 needs outlines.*{task}"):
        run(manifest, copy_paste=0.5)
    assert not AUGMENTED_FOLDER.exists()
