"""The prepare stage as a whole: from a source to data/prepared, with its report and messages."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import is_disk_full
from pipeline.core.paths import PREPARED_FOLDER, SPLITS
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.splits.partition import UNLISTED_REASON
from pipeline.prepare.stage import run_stage
from pipeline.storage.files import write_file
from tests import sources
from tests.disks import mount_small_disk
from tests.sources import SIZE, prepare_config, write_picture

LABEL = "0 0.5 0.5 0.2 0.4\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def source(tmp_path):
    names = {f"{number:02d}": LABEL if number % 3 else "1 0.3 0.3 0.2 0.2\n" + LABEL for number in range(20)}
    return sources.write_yolo_source(tmp_path / "source", names)


def read_files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_report():
    return json.loads((PREPARED_FOLDER / "defects.json").read_text())


def prepare(form, folder, **changes):
    run_stage(prepare_config(form, folder, **changes))
    return read_manifest(PREPARED_FOLDER)


def read_labels(record):
    return parse_labels((PREPARED_FOLDER / "labels" / record.label_file).read_text())


def test_dataset_has_the_canonical_layout(source, capsys):
    manifest = prepare("yolo", source)
    assert manifest.names == ("a", "b")
    assert Counter(record.split for record in manifest.items) == {"train": 14, "val": 3, "test": 3}
    for record in manifest.items:
        assert (PREPARED_FOLDER / "images" / record.file).read_bytes() == (
            source / record.source
        ).read_bytes()
        assert tuple(read_labels(record).classes.tolist()) == record.classes
        assert (record.width, record.height) == SIZE
    assert read_labels(manifest.items[0]).boxes[-1].tolist() == [0.5, 0.5, 0.2, 0.4]
    assert sorted(path.name for path in PREPARED_FOLDER.iterdir()) == [
        "defects.json", "images", "labels", "manifest.json", "report.html", "samples", "statistics.json",
    ]  # fmt: skip
    assert read_report()["files"] == []
    statistics = json.loads((PREPARED_FOLDER / "statistics.json").read_text())
    assert statistics["train"]["images"] == 14
    assert sum(split["objects"] for split in statistics.values()) == 27
    assert "20 of 20 images (train 14, val 3, test 3), 27 objects (a 20, b 7)" in capsys.readouterr().out


def test_samples_are_from_train_and_show_every_class(source):
    manifest = prepare("yolo", source, samples=4)
    train = {Path(record.file).stem: record for record in manifest.in_split("train")}
    shown = [path.stem for path in (PREPARED_FOLDER / "samples").iterdir()]
    assert len(shown) == 4
    assert {cls for stem in shown for cls in train[stem].classes} == {0, 1}


def test_files_contain_no_path_of_this_machine(source, project):
    prepare("yolo", source)
    text = b"".join(
        data for name, data in read_files(PREPARED_FOLDER).items() if name.endswith((".json", ".txt"))
    )
    assert str(project).encode() not in text


def test_source_can_be_read_only_and_is_not_changed(source):
    before = read_files(source)
    for path in [*source.rglob("*"), source]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    prepare("yolo", source)
    for path in [source, *source.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert read_files(source) == before
    assert all(path.stat().st_mode & 0o200 for path in PREPARED_FOLDER.rglob("*") if path.is_file())


def test_result_depends_only_on_source_and_seed(source):
    prepare("yolo", source)
    first = read_files(PREPARED_FOLDER)
    prepare("yolo", source)
    assert read_files(PREPARED_FOLDER) == first
    assert prepare("yolo", source, seed=1).digest != json.loads(first["manifest.json"])["digest"]


def test_every_defect_is_reported_and_counted(source, capsys):
    (source / "labels/00.txt").write_text("0 0.5 0.5 0.2\n" + LABEL)
    (source / "labels/01.txt").write_text("9 0.5 0.5 0.2 0.4\n")
    (source / "labels/02.txt").write_text("0 0.95 0.5 0.2 0.4\n")
    (source / "labels/03.txt").unlink()
    (source / "labels/orphan.txt").write_text(LABEL)
    (source / "images/04.jpg").write_bytes(b"")
    whole = (source / "images/05.jpg").read_bytes()
    (source / "images/05.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "images/06.jpg").write_bytes((source / "images/06.jpg").read_bytes() + b"x")
    manifest = prepare("yolo", source)
    report = read_report()
    assert (report["in"], report["used"], report["quarantined"]) == (21, 16, 5)
    assert len(manifest.items) == 16
    assert [
        (entry["file"], entry["verdict"], entry["reason"].split(":")[0]) for entry in report["files"]
    ] == [
        ("images/00.jpg", "dropped-object", "line 1"),
        ("images/01.jpg", "quarantined", "none of its objects can be used"),
        ("images/02.jpg", "fixed", "line 1"),
        ("images/03.jpg", "quarantined", "no label file"),
        ("images/04.jpg", "quarantined", "an empty file (0 bytes)"),
        ("images/05.jpg", "quarantined", "damaged"),
        ("images/06.jpg", "fixed", "1 byte after the end of the JPEG cut off"),
        ("labels/orphan.txt", "quarantined", "a label file without an image"),
    ]
    said = capsys.readouterr().out
    assert "16 of 21 images" in said
    assert "quarantined: images/04.jpg: an empty file (0 bytes)" in said
    assert "quarantined: and 2 more" in said
    assert "every finding: data/prepared/defects.json" in said


def test_clipped_box_is_written_clipped(source):
    (source / "labels/02.txt").write_text("0 0.95 0.5 0.2 0.4\n")
    manifest = prepare("yolo", source)
    [record] = [record for record in manifest.items if record.source == "images/02.jpg"]
    corners = xywhn_to_xyxy(read_labels(record).boxes, 1, 1)
    np.testing.assert_allclose(corners, [[0.85, 0.3, 1, 0.7]], atol=1e-6)


def test_annotation_for_another_image_size_is_quarantined(tmp_path):
    for name, size in (("turned", SIZE[::-1]), ("scaled", (48, 40)), ("x", SIZE), ("y", SIZE), ("z", SIZE)):
        write_picture(tmp_path / f"source/JPEGImages/{name}.jpg")
        sources.write_voc_file(
            tmp_path / f"source/Annotations/{name}.xml", [("cat", (11, 21, 40, 60))], size=size
        )
    assert len(prepare("voc", tmp_path / "source").items) == 3
    assert {entry["file"]: entry["reason"] for entry in read_report()["files"]} == {
        "JPEGImages/scaled.jpg": "annotated at 48 x 40 pixels, but the image is displayed at 96 x 80",
        "JPEGImages/turned.jpg": "annotated at 80 x 96 pixels, but the image is displayed "
        "(turned by an EXIF orientation?) at 96 x 80",
    }


def test_images_with_equal_stems_or_unsafe_names_get_unique_names(tmp_path):
    sources.write_yolo_source(
        tmp_path / "source", {"a/x": LABEL, "b/x": LABEL, "b/X": "", "c 1": "", "[d]": ""}, train="images"
    )
    write_picture(tmp_path / "source/images/b/x.png")
    manifest = prepare("yolo", tmp_path / "source", keep_split=False)
    stems = {record.source: Path(record.file).stem for record in manifest.items}
    assert len({stem.casefold() for stem in stems.values()}) == 6
    assert stems["images/c 1.jpg"] == "c_1"
    assert stems["images/a/x.jpg"].startswith("x-")


def test_split_of_the_source_is_kept(tmp_path, capsys):
    for number in range(20):
        part = "train" if number < 15 else "val"
        sources.write_yolo_source(tmp_path / "source", {f"{part}/{number:02d}": LABEL}, names=None)
    (tmp_path / "source/data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    manifest = prepare("yolo", tmp_path / "source")
    assert Counter(record.split for record in manifest.items) == {"train": 12, "val": 5, "test": 3}
    assert {record.source.split("/")[1] for record in manifest.in_split("val")} == {"val"}
    assert {record.source.split("/")[1] for record in manifest.in_split("test")} == {"train"}
    assert "the source has no test split: carved out of train" in capsys.readouterr().out
    again = prepare("yolo", tmp_path / "source", keep_split=False)
    assert Counter(record.split for record in again.items) == {"train": 14, "val": 3, "test": 3}


def test_images_in_no_split_list_are_quarantined(tmp_path):
    for name in "abcde":
        write_picture(tmp_path / f"source/JPEGImages/{name}.jpg")
        sources.write_voc_file(tmp_path / f"source/Annotations/{name}.xml", [("cat", (11, 21, 40, 60))])
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        write_file(tmp_path / f"source/ImageSets/Main/{split}.txt", name)
    assert {record.source: record.split for record in prepare("voc", tmp_path / "source").items} == {
        "JPEGImages/a.jpg": "train",
        "JPEGImages/b.jpg": "val",
        "JPEGImages/c.jpg": "test",
    }
    assert {(entry["file"], entry["reason"]) for entry in read_report()["files"]} == {
        ("JPEGImages/d.jpg", UNLISTED_REASON),
        ("JPEGImages/e.jpg", UNLISTED_REASON),
    }


def test_equal_images_get_the_same_split(source):
    for number in range(10, 20):
        (source / f"images/{number}.jpg").write_bytes((source / f"images/{number % 3:02d}.jpg").read_bytes())
    sides = {}
    for record in prepare("yolo", source).items:
        assert sides.setdefault(record.sha256, record.split) == record.split
    assert len(sides) == 10


def test_equal_images_in_two_splits_of_the_source_are_reported(tmp_path, capsys):
    sources.write_yolo_source(tmp_path / "source", {f"{part}/{part}": LABEL for part in SPLITS}, names=None)
    image = (tmp_path / "source/images/train/train.jpg").read_bytes()
    (tmp_path / "source/images/test/test.jpg").write_bytes(image)
    prepare("yolo", tmp_path / "source")
    said = "1 image of val or test belongs together with images of another split"
    assert said in capsys.readouterr().out
    assert said in read_report()["remarks"][-1]


def test_class_without_objects_in_train_is_reported(tmp_path, capsys):
    texts = {"train": LABEL, "val": LABEL, "test": "1 0.5 0.5 0.2 0.4\n"}
    sources.write_yolo_source(
        tmp_path / "source", {f"{part}/{part}": text for part, text in texts.items()}, names=("a", "b", "c")
    )
    (tmp_path / "source/data.yaml").unlink()
    prepare("yolo", tmp_path / "source")
    assert (
        "prepare: warning: Nothing to learn from: no objects in train of class_1" in capsys.readouterr().out
    )


def test_name_that_is_not_utf8_is_escaped(source):
    odd = os.fsdecode(b"caf\xe9.jpg")
    (source / "images/00.jpg").rename(source / "images" / odd)
    (source / "labels/00.txt").rename(source / "labels" / os.fsdecode(b"caf\xe9.txt"))
    manifest = prepare("yolo", source)
    assert "images/caf\\xe9.jpg" in [record.source for record in manifest.items]
    assert "caf_xe9" in [Path(record.file).stem for record in manifest.items]


def test_number_of_cores_does_not_change_the_result(source, monkeypatch):
    made = []
    for cores in (1, 5):
        for module in ("pipeline.runtime.thread_pool", "pipeline.prepare.cached_duplicate_search"):
            monkeypatch.setattr(f"{module}.choose_worker_count", lambda _=0, number=cores: number)
        prepare("yolo", source)
        made.append(read_files(PREPARED_FOLDER))
    assert made[0] == made[1]


def test_three_images_are_enough_and_two_are_refused(tmp_path):
    folder = sources.write_yolo_source(tmp_path / "source", {name: LABEL for name in "abc"})
    assert sorted(record.split for record in prepare("yolo", folder).items) == ["test", "train", "val"]
    (folder / "images/a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="2 usable images are too few"):
        run_stage(prepare_config("yolo", folder))


def test_old_dataset_stays_until_the_new_one_is_complete(source):
    prepare("yolo", source)
    before = read_files(PREPARED_FOLDER)
    for path in (source / "images").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UserError) as refused:
        run_stage(prepare_config("yolo", source))
    assert "none of the 20 images in" in str(refused.value)
    assert "images/00.jpg: not an image that can be read" in str(refused.value)
    assert read_files(PREPARED_FOLDER) == before
    assert sorted(path.name for path in PREPARED_FOLDER.parent.iterdir()) == ["columns", "prepared"]


@pytest.mark.fault(13, "a full disk")
@pytest.mark.parametrize("kilobytes", [150, 250, 400])
def test_disk_that_is_too_small_leaves_the_old_dataset(source, tmp_path, monkeypatch, kilobytes):
    """The images do not fit, or the thumbnails and reports beside them do not."""
    with mount_small_disk(tmp_path / "disk", kilobytes=kilobytes) as disk:
        monkeypatch.chdir(disk)
        PREPARED_FOLDER.mkdir(parents=True)
        (PREPARED_FOLDER / "old").write_text("a")
        with pytest.raises((UserError, OSError)) as caught:
            run_stage(prepare_config("yolo", source))
        assert "images of data/prepared need at least" in str(caught.value) or is_disk_full(caught.value)
        assert list(PREPARED_FOLDER.parent.iterdir()) == [PREPARED_FOLDER]
        assert (PREPARED_FOLDER / "old").read_text() == "a"
        monkeypatch.chdir(tmp_path)


def test_interrupted_run_leaves_no_file_and_no_thread(source, monkeypatch):
    def stop(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.prepare.images.cache.check_image", stop)
    with pytest.raises(KeyboardInterrupt):
        run_stage(prepare_config("yolo", source))
    assert not PREPARED_FOLDER.exists()
    assert list(PREPARED_FOLDER.parent.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


@pytest.mark.usefixtures("source")
def test_relative_source_starts_at_the_project_in_copies_by_dvc(project, monkeypatch):
    copy = project / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert len(prepare("yolo", "source").items) == 20
    assert (copy / PREPARED_FOLDER).is_dir()


@pytest.mark.parametrize("form", ["demo", "shapes"])
def test_drawn_images_are_reproducible(form):
    drawn = {
        "images": 12,
        "pixels": 64,
        "split": {"train": 8.0, "val": 2.0, "test": 2.0},
        "keep_split": False,
    }
    other, manifest = prepare(form, None, seed=1, **drawn), prepare(form, None, **drawn)
    assert Counter(record.split for record in manifest.items) == {"train": 8, "val": 2, "test": 2}
    assert prepare(form, None, **drawn).digest == manifest.digest != other.digest
    record = manifest.in_split("train")[0]
    image = cv2.imread(str(PREPARED_FOLDER / "images" / record.file))
    assert image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda record: (PREPARED_FOLDER / "images" / record.file).unlink(), "images/train/"),
        (lambda record: (PREPARED_FOLDER / "images" / record.file).write_bytes(b"x"), "images/train/"),
        (
            lambda record: (PREPARED_FOLDER / "labels" / record.label_file).write_text(LABEL * 2),
            "labels/train/",
        ),
        (lambda _: (PREPARED_FOLDER / "labels/val/more.txt").write_text(LABEL), "labels/val/more.txt"),
        (lambda _: (PREPARED_FOLDER / "manifest.json").write_text("{}"), "cannot be used"),
        (
            lambda _: (PREPARED_FOLDER / "manifest.json").write_text(
                (PREPARED_FOLDER / "manifest.json")
                .read_text()
                .replace('"classes": [0]', '"classes": [1]', 1)
                .replace("a1", "b2")
            ),
            "does not fit its own digest",
        ),
    ],
)
def test_changed_prepared_dataset_is_refused(source, spoil, named):
    spoil(prepare("yolo", source).in_split("train")[0])
    with pytest.raises(UserError, match=rf"{named}.*run prepare again"):
        read_manifest(PREPARED_FOLDER)


def test_missing_prepared_dataset_is_refused():
    with pytest.raises(UserError, match=r"manifest.json is absent: run prepare first"):
        read_manifest(PREPARED_FOLDER)


def test_labels_in_pixels_are_prepared_exactly_when_asked(tmp_path):
    width, height = SIZE
    boxes = [(20 + number, 30, 16, 20) for number in range(8)]
    labels = {f"{number:02d}": f"0 {' '.join(map(str, box))}\n" for number, box in enumerate(boxes)}
    source = sources.write_yolo_source(tmp_path / "source", labels, train="images")
    with pytest.raises(UserError, match=r"data\.labels=pixels"):
        prepare("yolo", source)
    manifest = prepare("yolo", source, labels="pixels")
    found = {record.source: read_labels(record).boxes.tolist() for record in manifest.items}
    for number, (x, y, w, h) in enumerate(boxes):
        np.testing.assert_allclose(
            found[f"images/{number:02d}.jpg"], [[x / width, y / height, w / width, h / height]], atol=1e-6
        )


def test_source_may_be_a_data_yaml(source):
    (source / "data.yaml").rename(source / "mine.yaml")
    (source / "mine.yaml").write_text("train: images\nnames: [c, d]\n")
    (source / "other.yaml").write_text("train: images\nnames: [e, f]\n")
    manifest = prepare("auto", source / "mine.yaml")
    assert manifest.names == ("c", "d")
    assert len(manifest.items) == 20


def test_images_without_label_file_are_in_the_report_with_share_and_pictures(source, capsys):
    for name in ("01", "02"):
        (source / f"labels/{name}.txt").unlink()
    prepare("yolo", source)
    page = (PREPARED_FOLDER / "report.html").read_text()
    assert "<b>Images without a label file</b>: 2 of 20 images (10%): 2 left out" in page
    assert page.count("data:image") == page.count("<img")
    assert 'alt="images/01.jpg"' in page
    assert "2 of 20 images (10%) have no label file: left out" in capsys.readouterr().out


def test_warnings_and_the_report_are_on_the_console(source, capsys):
    prepare("yolo", source)
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("prepare: warning: "))
    assert 1 <= len(lines) - first <= 5
    assert lines[-1].endswith("pictures and charts: data/prepared/report.html")
