"""Names of Ultralytics models for each task."""

import pytest

from pipeline.core.model_names import model_name_for_task


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
