"""The prepare stage with several sources in data.source."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.labels import parse_labels
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from tests import sources
from tests.sources import prepare_config, write_picture

NAMES = [f"{number:02d}" for number in range(8)]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def both(tmp_path):
    """A YOLO set (cat, dog) and a COCO set with outlines (dog, owl, cat), of images with the same names."""
    labels = {name: f"{number % 2} 0.5 0.5 0.2 0.4\n" for number, name in enumerate(NAMES)}
    yolo = sources.write_yolo_source(tmp_path / "here/yolo", labels, names=("cat", "dog"))
    coco = tmp_path / "there/coco"
    outline = [[20, 20, 60, 20, 60, 60, 20, 60]]
    rows = {
        f"{name}.jpg": [{"category_id": 1 + number % 3, "segmentation": outline, "area": 1600}]
        for number, name in enumerate(NAMES)
    }
    for name in rows:
        write_picture(coco / name)
    sources.write_coco_file(coco / "labels.json", rows, categories={1: "dog", 2: "owl", 3: "cat"})
    return [str(yolo), str(coco)]


def prepare(source, **changes):
    config = prepare_config("auto", source, **changes)
    run_stage(config)
    return read_manifest(PREPARED_FOLDER)


def test_sets_of_different_formats_and_class_orders_become_one(both, capsys):
    manifest = prepare(both)
    assert (manifest.task, manifest.names) == ("detect", ("cat", "dog", "owl"))
    classes = {record.source: record.classes for record in manifest.items}
    assert classes == {
        **{f"yolo/images/{name}.jpg": (number % 2,) for number, name in enumerate(NAMES)},
        **{f"coco/{name}.jpg": ((1, 2, 0)[number % 3],) for number, name in enumerate(NAMES)},
    }
    assert len({record.file for record in manifest.items}) == 16
    record = next(record for record in manifest.items if record.source == "coco/00.jpg")
    boxes = parse_labels((PREPARED_FOLDER / "labels" / record.label_file).read_text()).boxes
    assert boxes[0].tolist() == pytest.approx([30 / 96, 40 / 80, 40 / 96, 40 / 80], abs=1e-5)
    said = capsys.readouterr().out
    assert "2 sources joined for detect: yolo (yolo, 8 images), coco (coco, 8 images)" in said
    assert "yolo+coco" in (PREPARED_FOLDER / "report.html").read_text()


def test_outlines_and_rotated_boxes_share_rotated_boxes(tmp_path, both):
    corners = "0 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n"
    folder = sources.write_yolo_source(tmp_path / "obb", dict.fromkeys(NAMES, corners), names=("cat",))
    manifest = prepare([str(folder), both[1]], task="obb")
    assert manifest.task == "obb"
    assert {record.source.partition("/")[0] for record in manifest.items} == {"obb", "coco"}


def test_a_task_that_one_source_lacks_is_refused(both):
    with pytest.raises(UserError, match=r"data\.task=segment does not fit"):
        prepare(both, task="segment")


@pytest.mark.fault(2, "a patient of two sources may be in train and test")
def test_a_group_of_the_same_name_in_two_sources_is_one(both, capsys):
    manifest = prepare(both, group_by=r"(\d)\.jpg")
    assert "8 groups of 16 images; 8 of them in several sources" in capsys.readouterr().out
    split = {record.source: record.split for record in manifest.items}
    assert all(split[f"yolo/images/{name}.jpg"] == split[f"coco/{name}.jpg"] for name in NAMES)


def test_folders_of_one_name_in_two_sources_are_two_groups(both):
    with pytest.raises(UserError, match="16 images are 2 groups"):
        prepare(both, group_by="folder")


def test_a_near_copy_in_another_source_stays_in_the_split_of_its_original(both, tmp_path):
    for name in NAMES:
        picture = cv2.imread(str(tmp_path / f"here/yolo/images/{name}.jpg"))
        cv2.imwrite(str(tmp_path / f"there/coco/{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
    manifest = prepare(both, near_duplicates=True, on_leak="refuse")
    split = {record.source: record.split for record in manifest.items}
    assert all(split[f"yolo/images/{name}.jpg"] == split[f"coco/{name}.jpg"] for name in NAMES)


def test_findings_of_each_source_have_its_name_and_their_picture(both, tmp_path):
    (tmp_path / "there/coco/00.jpg").write_bytes(b"no image")
    (tmp_path / "here/yolo/labels/01.txt").unlink()
    prepare(both)
    found = json.loads((PREPARED_FOLDER / "defects.json").read_text())["files"]
    assert [(each["file"], each["kind"]) for each in found] == [
        ("coco/00.jpg", "unreadable-image"),
        ("yolo/images/01.jpg", "missing-label"),
    ]
    page = (PREPARED_FOLDER / "report.html").read_text()
    assert 'alt="yolo/images/01.jpg"' in page


def test_a_list_of_one_is_that_source(both):
    alone = prepare(both[:1]).digest
    assert prepare(both[0]).digest == alone
    assert np.all([record.source.startswith("images/") for record in read_manifest(PREPARED_FOLDER).items])
