"""The prepare stage on real datasets, compared with the numbers in their README files."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.source.recognize_format import read_source
from tests.sources import prepare_config

DATA = Path(__file__).parents[2] / "../shared/data"


def real(name):
    folder = (DATA / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside the project: see ../shared/data")
    return folder


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(form, name, **changes):
    run_stage(prepare_config(form, real(name), **changes))
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    return read_manifest(PREPARED_FOLDER), report


def sizes(manifest):
    return Counter(record.split for record in manifest.items)


def test_bccd_is_complete_except_two_boxes_without_area():
    manifest, report = run("voc", "bccd")
    assert sizes(manifest) == {"train": 205, "val": 87, "test": 72}
    assert sum(len(record.classes) for record in manifest.items) == 4888 - 2
    assert manifest.names == ("Platelets", "RBC", "WBC")
    assert [(entry["file"], entry["reason"]) for entry in report["files"]] == [
        ("BCCD/JPEGImages/BloodImage_00338.jpg", "object 13: no area: 504 337 504 337"),
        ("BCCD/JPEGImages/BloodImage_00343.jpg", "object 4: no area: 181 329 181 329"),
    ]


def test_rbc_coco_keeps_its_split_and_drops_its_unused_parent_category(capsys):
    manifest, report = run("coco", "rbc-coco")
    assert sizes(manifest) == {"train": 210, "val": 20, "test": 10}
    assert sum(len(record.classes) for record in manifest.items) == 5638
    assert manifest.names == ("rbc", "wbc")
    assert report["files"] == []
    assert "category 'RBC-WBC' is a parent without objects" in capsys.readouterr().out


def test_feralcat_is_read_for_segmentation():
    manifest, report = run("yolo", "feralcat-seg", keep_split=False)
    assert (manifest.task, len(manifest.items)) == ("segment", 296)
    assert sum(len(record.classes) for record in manifest.items) == 1126
    assert "data.yaml names train: ../train/images, but there are no images" in report["remarks"]


@pytest.mark.parametrize("name", ["coco8", "coco8-seg", "coco8-pose", "dota8"])
def test_hub_examples_are_prepared_without_quarantine(name):
    manifest, report = run("yolo", f"hub-examples/{name}")
    assert sizes(manifest) == {"train": 3, "val": 4, "test": 1}
    assert report["quarantined"] == 0


@pytest.mark.parametrize(
    ("form", "name", "images", "objects"),
    [
        ("yolo", "yolo_dataset/labels", 2, 4),
        ("yolo", "roboflow_dataset/yolo", 3, None),
        ("coco", "roboflow_dataset/coco", 3, None),
        ("coco", "coco_dataset/coco", 2, None),
        ("coco", "coco_dataset/coco_instances", 2, None),
        ("coco", "coco_dataset/mmdet_coco", 2, None),
        ("coco", "coco_dataset/coco_roboflow", 2, None),
        ("voc", "voc_dataset/voc_dataset1", 1, 2),
        ("voc", "voc_dataset/voc_dataset3", 1, 1),
    ],
)
def test_small_datumaro_fixtures_are_read(form, name, images, objects):
    source = read_source(form, real(f"datumaro-assets/{name}"))
    assert len(source.images) == images
    found = sum(len(image.raw.classes) for image in source.images)
    assert found == objects if objects else found > 0
