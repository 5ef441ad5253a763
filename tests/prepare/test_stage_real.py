"""Real datasets, with the numbers that their README states."""

import json
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.paths import PREPARED
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import stage
from pipeline.source.formats.registry import read
from tests.sources import config

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
    stage.run(config(form, real(name), **changes))
    report = json.loads((PREPARED / "defects.json").read_text())
    return read_manifest(PREPARED), report


def sizes(manifest):
    return Counter(item.split for item in manifest.items)


def test_bccd_is_whole_but_for_two_boxes_of_no_area():
    manifest, report = run("voc", "bccd")
    assert sizes(manifest) == {"train": 205, "val": 87, "test": 72}
    assert sum(len(item.classes) for item in manifest.items) == 4888 - 2
    assert manifest.names == ("Platelets", "RBC", "WBC")
    assert [(entry["file"], entry["reason"]) for entry in report["files"]] == [
        ("BCCD/JPEGImages/BloodImage_00338.jpg", "object 13: no area: 504 337 504 337"),
        ("BCCD/JPEGImages/BloodImage_00343.jpg", "object 4: no area: 181 329 181 329"),
    ]


def test_rbc_coco_keeps_its_split_and_loses_its_unused_parent(capsys):
    manifest, report = run("coco", "rbc-coco")
    assert sizes(manifest) == {"train": 210, "val": 20, "test": 10}
    assert sum(len(item.classes) for item in manifest.items) == 5638
    assert manifest.names == ("rbc", "wbc")
    assert report["files"] == []
    assert "category 'RBC-WBC' is a parent without objects" in capsys.readouterr().out


def test_feralcat_is_for_segmentation():
    manifest, report = run("yolo", "feralcat-seg", keep_split=False)
    assert (manifest.task, len(manifest.items)) == ("segment", 296)
    assert sum(len(item.classes) for item in manifest.items) == 1126
    assert "data.yaml names train: ../train/images, but there are no images" in report["remarks"]


@pytest.mark.parametrize("name", ["coco8", "coco8-seg", "coco8-pose", "dota8"])
def test_hub_examples(name):
    manifest, report = run("yolo", f"hub-examples/{name}")
    assert sizes(manifest) == {"train": 3, "val": 4, "test": 1}
    assert report["quarantined"] == 0


@pytest.mark.parametrize(
    ("form", "name", "images", "objects"),
    [
        ("yolo", "yolo_dataset/labels", 2, 4),
        ("yolo", "roboflow_dataset/yolo", 2, 2),
        ("coco", "roboflow_dataset/coco", 3, None),
        ("coco", "coco_dataset/coco", 2, None),
        ("coco", "coco_dataset/coco_instances", 2, None),
        ("coco", "coco_dataset/mmdet_coco", 2, None),
        ("coco", "coco_dataset/coco_roboflow", 2, None),
        ("voc", "voc_dataset/voc_dataset1", 1, 2),
        ("voc", "voc_dataset/voc_dataset3", 1, 1),
    ],
)
def test_small_fixtures_of_another_project_are_read(form, name, images, objects):
    source = read(form, real(f"datumaro-assets/{name}"))
    assert len(source.images) == images
    found = sum(len(image.raw.classes) for image in source.images)
    assert found == objects if objects else found > 0
