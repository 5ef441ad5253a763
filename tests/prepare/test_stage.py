"""The stage as a whole: from a source to data/prepared, and what it says of what it met."""

import json
import os
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED, SPLITS
from pipeline.dataset import labels
from pipeline.dataset.labels import to_xyxy
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import stage
from pipeline.prepare.splits.partition import UNLISTED
from pipeline.storage import files
from tests import sources
from tests.sources import SIZE, config, picture

LABEL = "0 0.5 0.5 0.2 0.4\n"
OUT = PREPARED


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def source(tmp_path):
    names = {f"{number:02d}": LABEL if number % 3 else "1 0.3 0.3 0.2 0.2\n" + LABEL for number in range(20)}
    return sources.yolo(tmp_path / "source", names)


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def findings():
    return json.loads((OUT / "defects.json").read_text())


def run(form, folder, **changes):
    stage.run(config(form, folder, **changes))
    return read_manifest(OUT)


def test_the_canonical_layout(source, capsys):
    manifest = run("yolo", source)
    assert manifest.names == ("a", "b")
    assert Counter(item.split for item in manifest.items) == {"train": 14, "val": 3, "test": 3}
    for item in manifest.items:
        assert (OUT / "images" / item.file).read_bytes() == (source / item.source).read_bytes()
        found = labels.parse((OUT / "labels" / item.label).read_text())
        assert tuple(found.classes.tolist()) == item.classes
        assert (item.width, item.height) == SIZE
    assert labels.parse((OUT / "labels" / manifest.items[0].label).read_text()).boxes[-1].tolist() == [
        0.5, 0.5, 0.2, 0.4,
    ]  # fmt: skip
    assert sorted(path.name for path in OUT.iterdir()) == [
        "defects.json", "images", "labels", "manifest.json", "report.html", "samples", "statistics.json",
    ]  # fmt: skip
    assert findings()["files"] == []
    statistics = json.loads((OUT / "statistics.json").read_text())
    assert statistics["train"]["images"] == 14
    assert sum(split["objects"] for split in statistics.values()) == 27
    assert "20 of 20 images (train 14, val 3, test 3), 27 objects (a 20, b 7)" in capsys.readouterr().out


def test_samples_are_of_train_and_show_every_class(source):
    manifest = run("yolo", source, samples=4)
    train = {Path(item.file).stem: item for item in manifest.of("train")}
    shown = [path.stem for path in (OUT / "samples").iterdir()]
    assert len(shown) == 4
    assert {cls for stem in shown for cls in train[stem].classes} == {0, 1}


def test_nothing_names_a_place_on_this_machine(source, project):
    run("yolo", source)
    text = b"".join(data for name, data in contents(OUT).items() if name.endswith((".json", ".txt")))
    assert str(project).encode() not in text


def test_the_source_is_only_read(source):
    before = contents(source)
    for path in [*source.rglob("*"), source]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    run("yolo", source)
    for path in [source, *source.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert contents(source) == before
    assert all(path.stat().st_mode & 0o200 for path in OUT.rglob("*") if path.is_file())


def test_the_same_source_and_seed_give_the_same_bytes_and_another_seed_another_split(source):
    run("yolo", source)
    first = contents(OUT)
    run("yolo", source)
    assert contents(OUT) == first
    assert run("yolo", source, seed=1).digest != json.loads(first["manifest.json"])["digest"]


def test_every_defect_is_named_and_the_counts_add_up(source, capsys):
    (source / "labels/00.txt").write_text("0 0.5 0.5 0.2\n" + LABEL)
    (source / "labels/01.txt").write_text("9 0.5 0.5 0.2 0.4\n")
    (source / "labels/02.txt").write_text("0 0.95 0.5 0.2 0.4\n")
    (source / "labels/03.txt").unlink()
    (source / "labels/orphan.txt").write_text(LABEL)
    (source / "images/04.jpg").write_bytes(b"")
    whole = (source / "images/05.jpg").read_bytes()
    (source / "images/05.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "images/06.jpg").write_bytes((source / "images/06.jpg").read_bytes() + b"x")
    manifest = run("yolo", source)
    report = findings()
    assert (report["in"], report["used"], report["quarantined"]) == (21, 17, 4)
    assert len(manifest.items) == 17
    assert [
        (entry["file"], entry["verdict"], entry["reason"].split(":")[0]) for entry in report["files"]
    ] == [
        ("images/00.jpg", "dropped-object", "line 1"),
        ("images/01.jpg", "quarantined", "none of its objects can be used"),
        ("images/02.jpg", "fixed", "line 1"),
        ("images/03.jpg", "fixed", "no label file"),
        ("images/04.jpg", "quarantined", "an empty file (0 bytes)"),
        ("images/05.jpg", "quarantined", "damaged"),
        ("images/06.jpg", "fixed", "1 byte after the end of the JPEG cut off"),
        ("labels/orphan.txt", "quarantined", "a label file without an image"),
    ]
    said = capsys.readouterr().out
    assert "17 of 21 images" in said
    assert "quarantined: images/04.jpg: an empty file (0 bytes)" in said
    assert "quarantined: and 1 more" in said
    assert "every finding: data/prepared/defects.json" in said


def test_a_clipped_box_is_written_clipped(source):
    (source / "labels/02.txt").write_text("0 0.95 0.5 0.2 0.4\n")
    manifest = run("yolo", source)
    [item] = [item for item in manifest.items if item.source == "images/02.jpg"]
    found = labels.parse((OUT / "labels" / item.label).read_text())
    corners = to_xyxy(found.boxes, 1, 1)
    np.testing.assert_allclose(corners, [[0.85, 0.3, 1, 0.7]], atol=1e-6)


def test_an_annotation_for_another_size_is_not_trusted(tmp_path):
    for name, size in (("turned", SIZE[::-1]), ("scaled", (48, 40)), ("x", SIZE), ("y", SIZE), ("z", SIZE)):
        picture(tmp_path / f"source/JPEGImages/{name}.jpg")
        sources.voc(tmp_path / f"source/Annotations/{name}.xml", [("cat", (11, 21, 40, 60))], size=size)
    assert len(run("voc", tmp_path / "source").items) == 3
    assert {entry["file"]: entry["reason"] for entry in findings()["files"]} == {
        "JPEGImages/scaled.jpg": "annotated at 48 x 40 pixels, but the image is displayed at 96 x 80",
        "JPEGImages/turned.jpg": "annotated at 80 x 96 pixels, but the image is displayed "
        "(turned by an EXIF orientation?) at 96 x 80",
    }


def test_same_stems_and_awkward_names_do_not_collide(tmp_path):
    sources.yolo(
        tmp_path / "source", {"a/x": LABEL, "b/x": LABEL, "b/X": "", "c 1": "", "[d]": ""}, train="images"
    )
    picture(tmp_path / "source/images/b/x.png")
    manifest = run("yolo", tmp_path / "source", keep_split=False)
    stems = {item.source: Path(item.file).stem for item in manifest.items}
    assert len({stem.casefold() for stem in stems.values()}) == 6
    assert stems["images/c 1.jpg"] == "c_1"
    assert stems["images/a/x.jpg"].startswith("x-")


def test_a_split_that_comes_with_the_data_is_kept(tmp_path, capsys):
    for number in range(20):
        part = "train" if number < 15 else "val"
        sources.yolo(tmp_path / "source", {f"{part}/{number:02d}": LABEL}, names=None)
    (tmp_path / "source/data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    manifest = run("yolo", tmp_path / "source")
    assert Counter(item.split for item in manifest.items) == {"train": 12, "val": 5, "test": 3}
    assert {item.source.split("/")[1] for item in manifest.of("val")} == {"val"}
    assert {item.source.split("/")[1] for item in manifest.of("test")} == {"train"}
    assert "the source has no test split: carved out of train" in capsys.readouterr().out
    again = run("yolo", tmp_path / "source", keep_split=False)
    assert Counter(item.split for item in again.items) == {"train": 14, "val": 3, "test": 3}


def test_images_outside_of_the_lists_are_named_not_used(tmp_path):
    for name in "abcde":
        picture(tmp_path / f"source/JPEGImages/{name}.jpg")
        sources.voc(tmp_path / f"source/Annotations/{name}.xml", [("cat", (11, 21, 40, 60))])
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        files.write(tmp_path / f"source/ImageSets/Main/{split}.txt", name)
    assert {item.source: item.split for item in run("voc", tmp_path / "source").items} == {
        "JPEGImages/a.jpg": "train",
        "JPEGImages/b.jpg": "val",
        "JPEGImages/c.jpg": "test",
    }
    assert {(entry["file"], entry["reason"]) for entry in findings()["files"]} == {
        ("JPEGImages/d.jpg", UNLISTED),
        ("JPEGImages/e.jpg", UNLISTED),
    }


def test_equal_images_stay_on_one_side_of_a_split_made_here(source):
    for number in range(10, 20):
        (source / f"images/{number}.jpg").write_bytes((source / f"images/{number % 3:02d}.jpg").read_bytes())
    sides = {}
    for item in run("yolo", source).items:
        assert sides.setdefault(item.sha256, item.split) == item.split
    assert len(sides) == 10


def test_equal_images_in_two_splits_of_the_data_are_spoken_of(tmp_path, capsys):
    sources.yolo(tmp_path / "source", {f"{part}/{part}": LABEL for part in SPLITS}, names=None)
    image = (tmp_path / "source/images/train/train.jpg").read_bytes()
    (tmp_path / "source/images/test/test.jpg").write_bytes(image)
    run("yolo", tmp_path / "source")
    said = "1 image of val or test belongs together with images of a split that is trained or chosen on"
    assert said in capsys.readouterr().out
    assert said in findings()["remarks"][-1]


def test_a_class_that_train_lacks_is_spoken_of(tmp_path, capsys):
    texts = {"train": LABEL, "val": LABEL, "test": "1 0.5 0.5 0.2 0.4\n"}
    sources.yolo(
        tmp_path / "source", {f"{part}/{part}": text for part, text in texts.items()}, names=("a", "b", "c")
    )
    (tmp_path / "source/data.yaml").unlink()
    run("yolo", tmp_path / "source")
    assert "no objects in train to learn from: class_1" in capsys.readouterr().out


def test_a_name_that_is_no_utf_8_is_spelled_out(source):
    odd = os.fsdecode(b"caf\xe9.jpg")
    (source / "images/00.jpg").rename(source / "images" / odd)
    manifest = run("yolo", source)
    assert "images/caf\\xe9.jpg" in [item.source for item in manifest.items]
    assert "caf_xe9" in [Path(item.file).stem for item in manifest.items]


def test_the_number_of_cores_changes_nothing(source, monkeypatch):
    made = []
    for cores in (1, 5):
        monkeypatch.setattr("pipeline.runtime.workers.cores", lambda number=cores: number)
        run("yolo", source)
        made.append(contents(OUT))
    assert made[0] == made[1]


def test_three_images_are_enough_and_two_are_refused(tmp_path):
    folder = sources.yolo(tmp_path / "source", {name: LABEL for name in "abc"})
    assert sorted(item.split for item in run("yolo", folder).items) == ["test", "train", "val"]
    (folder / "images/a.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="2 usable images are too few"):
        stage.run(config("yolo", folder))


def test_what_was_there_stays_until_the_new_dataset_is_whole(source):
    run("yolo", source)
    before = contents(OUT)
    for path in (source / "images").iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(UserError) as refused:
        stage.run(config("yolo", source))
    assert "none of the 20 images in" in str(refused.value)
    assert "images/00.jpg: not an image that can be read" in str(refused.value)
    assert contents(OUT) == before
    assert [path.name for path in OUT.parent.iterdir()] == ["prepared"]


def test_an_interrupted_run_leaves_nothing_and_no_thread(source, monkeypatch):
    def stop(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.prepare.images.check.examine", stop)
    with pytest.raises(KeyboardInterrupt):
        stage.run(config("yolo", source))
    assert not OUT.exists()
    assert list(OUT.parent.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prepare")]


@pytest.mark.usefixtures("source")
def test_a_relative_source_starts_at_the_project_in_dvc_s_copies_too(project, monkeypatch):
    copy = project / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert len(run("yolo", "source").items) == 20
    assert (copy / OUT).is_dir()


@pytest.mark.parametrize("form", ["demo", "shapes"])
def test_drawn_images_are_the_same_every_time(form):
    drawn = {
        "images": 12,
        "pixels": 64,
        "split": {"train": 8.0, "val": 2.0, "test": 2.0},
        "keep_split": False,
    }
    other, manifest = run(form, None, seed=1, **drawn), run(form, None, **drawn)
    assert Counter(item.split for item in manifest.items) == {"train": 8, "val": 2, "test": 2}
    assert run(form, None, **drawn).digest == manifest.digest != other.digest
    item = manifest.of("train")[0]
    image = cv2.imread(str(OUT / "images" / item.file))
    assert image.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda item: (OUT / "images" / item.file).unlink(), "images/train/"),
        (lambda item: (OUT / "images" / item.file).write_bytes(b"x"), "images/train/"),
        (lambda item: (OUT / "labels" / item.label).write_text(LABEL * 2), "labels/train/"),
        (lambda _: (OUT / "labels/val/more.txt").write_text(LABEL), "labels/val/more.txt"),
        (lambda _: (OUT / "manifest.json").write_text("{}"), "cannot be used"),
        (
            lambda _: (OUT / "manifest.json").write_text(
                (OUT / "manifest.json")
                .read_text()
                .replace('"classes": [0]', '"classes": [1]', 1)
                .replace("a1", "b2")
            ),
            "does not fit its own digest",
        ),
    ],
)
def test_a_prepared_dataset_that_was_changed_is_refused(source, spoil, named):
    spoil(run("yolo", source).of("train")[0])
    with pytest.raises(UserError, match=rf"{named}.*run prepare again"):
        read_manifest(OUT)


def test_a_prepared_dataset_that_is_absent_is_refused():
    with pytest.raises(UserError, match=r"manifest.json is absent: run prepare first"):
        read_manifest(OUT)
