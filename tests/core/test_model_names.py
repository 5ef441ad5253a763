"""Names of Ultralytics models for each task."""

from itertools import product

import pytest
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from pipeline.core.model_names import DOWNLOADABLE_WEIGHTS, model_name_for_task


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("yolo26n.yaml", "detect", "yolo26n.yaml"),
        ("yolo26n.yaml", "segment", "yolo26n-seg.yaml"),
        ("yolo26n.pt", "classify", "yolo26n-cls.pt"),
        ("yolov8x.pt", "obb", "yolov8x-obb.pt"),
        ("yolo11s-seg.pt", "pose", "yolo11s-pose.pt"),
        ("yolo11s-seg.pt", "detect", "yolo11s.pt"),
        ("./yolo26n.pt", "segment", "./yolo26n.pt"),
        ("models/yolo26n.pt", "segment", "models/yolo26n.pt"),
        ("own.yaml", "segment", "own.yaml"),
        ("yolo26n-own.pt", "segment", "yolo26n-own.pt"),
    ],
)
def test_official_names_get_the_suffix_of_the_task_and_others_stay(name, task, expected):
    assert model_name_for_task(name, task) == expected


def test_downloadable_weights_are_those_of_ultralytics_list():
    others = ("yolo_nas", "yoloe")
    listed = {
        name
        for name in GITHUB_ASSETS_NAMES
        if name.startswith("yolo") and name.endswith(".pt") and not name.startswith(others)
    }
    assert {name for name in listed if not DOWNLOADABLE_WEIGHTS.fullmatch(name)} == set()
    families = ("yolov3", "yolov5", "yolov8", "yolov9", "yolov10", "yolo11", "yolo12", "yolo26", "yolo99")
    suffixes = {name.partition("-")[2] for name in listed} | {"typo.pt"}
    names = {
        f"{family}{size}-{suffix}" if suffix else f"{family}{size}.pt"
        for family, size, suffix in product(families, ("", *"nsmlxtceb", "6u", "n6u", "u"), suffixes)
    }
    assert {name for name in names if DOWNLOADABLE_WEIGHTS.fullmatch(name)} <= listed
