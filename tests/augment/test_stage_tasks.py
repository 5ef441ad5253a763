"""The stage on prepared datasets of every task; test_labels_follow_pixels.py has the geometry."""

import cv2
import numpy as np
import pytest

from pipeline.augment import stage, transform_image
from pipeline.augment.affine import Matrix
from pipeline.augment.parameters import AugmentationParameters
from pipeline.config.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED, PREPARED
from pipeline.core.tasks import TASKS
from pipeline.dataset.augmented import read_records
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
    stage.run(Config.model_construct(seed=seed, augment=group, compute=LOCAL))
    records = read_records(AUGMENTED, prepared=manifest.digest)
    return records, [labels(AUGMENTED, copy.label, manifest) for copy in records.copies]


def labels(folder, name, manifest):
    return read_labels(folder / "labels" / name, manifest.task)


def pixels(folder, name):
    return cv2.imread(str(folder / "images" / name), cv2.IMREAD_COLOR)


def coloured(image, cls):
    """Tell which pixels are of a class's triangles: blue or green."""
    return image[..., cls].astype(int) - image[..., 1 - cls] > 100


@pytest.mark.parametrize("task", TASKS)
def test_copies_of_every_task_are_labelled_as_the_task_is(task, capsys):
    manifest = prepared_for(PREPARED, task, images=TRAIN)
    records, found = run(manifest)
    assert records.count == 12
    before = {item.file: item for item in manifest.items}
    for copy, marked in zip(records.copies, found, strict=True):
        assert tuple(marked.classes.tolist()) == copy.classes
        assert len(marked) + copy.dropped == len(before[copy.source].classes)
        seen = pixels(AUGMENTED, copy.file)
        assert all(coloured(seen, cls).any() for cls in marked.classes)
    assert f"{'images' if task == 'classify' else 'objects'} to train on: blue " in capsys.readouterr().out
    assert (AUGMENTED / "samples/sheet_1.jpg").stat().st_size > 1000


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_stock_ultralytics_takes_every_label_even_of_what_is_hardly_visible(task):
    from ultralytics.data.utils import verify_image_label

    manifest = prepared_for(PREPARED, task, images=TRAIN)
    records, found = run(
        manifest, visible=0.02, multiplier=9, rotate=90.0, copy_paste=float(task == "segment")
    )
    for copy, marked in zip(records.copies, found, strict=True):
        files = (str(AUGMENTED / kind) for kind in (f"images/{copy.file}", f"labels/{copy.label}"))
        points = (3, 3) if task == "pose" else (0, 0)
        _, boxes, *_, complaint = verify_image_label((*files, "", task == "pose", 2, *points, False))
        assert complaint == ""
        assert len(boxes) == len(marked)


def test_the_tips_of_a_triangle_keep_their_sense_of_rotation_in_a_mirrored_image():
    """Left, right, top go round one way in every source; swapped in a mirrored copy, they still do."""
    manifest = prepared_for(PREPARED, "pose", images=TRAIN)
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


def test_balance_draws_the_rare_class_of_images_more_often():
    manifest = prepared_for(PREPARED, "classify", images={"train": 11})  # 6 blue, 5 green
    alike, balanced = (run(manifest, balance=balance, multiplier=21)[0].counts() for balance in (0.0, 1.0))
    assert alike == {0: 120, 1: 100}
    assert balanced[0] == pytest.approx(110, abs=1)


def test_pasted_objects_come_from_train_images_and_the_record_draws_the_copy_again():
    manifest = prepared_for(PREPARED, "segment", images=TRAIN)
    records, found = run(manifest, copy_paste=1.0, scale=0.0, crop=0.0, multiplier=4)
    donors = {item.file for item in manifest.of("train")}
    assert sum(len(copy.pasted) for copy in records.copies) > records.count / 2
    for copy, marked in zip(records.copies, found, strict=True):
        image = pixels(PREPARED, copy.source)
        for one in copy.pasted:
            assert one.source in donors
            donor = pixels(PREPARED, one.source)
            outline = labels(PREPARED, one.source.replace(".png", ".txt"), manifest).outlines[one.object]
            image = transform_image.paste(image, donor, outline * 64, matrix(one.matrix))
        again = transform_image.apply(image, AugmentationParameters(**copy.transforms), copy.seed)
        assert np.array_equal(again, pixels(AUGMENTED, copy.file))
        sources = [item for item in manifest.items if item.file == copy.source]
        assert len(marked) + copy.dropped == len(sources[0].classes) + len(copy.pasted)


def matrix(rows) -> Matrix:
    return np.array([*rows, 0, 0, 1], np.float64).reshape(3, 3)


def test_pasting_is_the_same_whatever_the_number_of_threads():
    manifest = prepared_for(PREPARED, "segment", images=TRAIN)
    digests = {run(manifest, copy_paste=0.7, workers=workers)[0].digest for workers in (1, 3)}
    assert len(digests) == 1
    assert run(manifest, copy_paste=0.7, seed=1)[0].digest not in digests


@pytest.mark.parametrize("task", ["detect", "classify", "obb", "pose"])
def test_pasting_without_outlines_is_refused_and_nothing_is_written(task):
    manifest = prepared_for(PREPARED, task)
    with pytest.raises(UserError, match=rf"copy_paste=0\.5 needs outlines.*{task}"):
        run(manifest, copy_paste=0.5)
    assert not AUGMENTED.exists()
