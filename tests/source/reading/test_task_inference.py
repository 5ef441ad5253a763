"""The task is inferred from the shapes of a source, and its objects are converted for it."""

import pytest

from pipeline.source.reading.shapes import (
    TAG,
    AnnotatedObject,
    build_box,
    build_outline,
    build_pose,
    parse_ring,
    rotate_box,
)
from pipeline.source.reading.task_inference import build_raw_objects, infer_task

BOX = build_box((10, 20, 50, 60))
SHAPES = {
    "box": BOX,
    "rotated": rotate_box(BOX, 30, (30, 40)),
    "outline": build_outline(parse_ring([[1, 2], [30, 4], [5, 60]])),
    "pose": build_pose({"nose": (10.0, 20.0, 2)}, BOX),
    "tag": TAG,
}


def objects(counts, label="cat"):
    return [
        AnnotatedObject(label, SHAPES[kind], kind) for kind, count in counts.items() for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("counts", "task", "remarks"),
    [
        ({}, "detect", 0),
        ({"box": 3}, "detect", 0),
        ({"rotated": 3}, "obb", 0),
        ({"rotated": 1, "box": 9}, "obb", 1),
        ({"outline": 3}, "segment", 0),
        ({"outline": 95, "box": 5}, "segment", 1),
        ({"outline": 94, "box": 6}, "detect", 1),
        ({"outline": 1, "rotated": 99}, "segment", 1),
        ({"pose": 3}, "pose", 0),
        ({"pose": 95, "box": 5}, "pose", 1),
        ({"pose": 94, "box": 6}, "detect", 1),
        ({"tag": 3}, "classify", 0),
        ({"tag": 3, "box": 1}, "detect", 1),
    ],
)
def test_most_detailed_task_that_nearly_all_objects_support_is_inferred(counts, task, remarks):
    found = infer_task(objects(counts))
    assert (found.task, len(found.remarks)) == (task, remarks)


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ({"box": 1}, []),
        ({"rotated": 1, "box": 1}, [1, 1]),
        ({"outline": 20, "box": 1}, [1] * 20 + [0]),
        ({"pose": 1}, []),
        ({"outline": 1, "box": 2}, [1, 0, 0]),  # for users who set data.task=segment
    ],
)
def test_outlines_are_kept_if_the_task_can_use_them(counts, parts):
    items = objects(counts)
    raw = build_raw_objects(items, infer_task(items))
    assert [len(outline) for outline in raw.outlines] == parts
    assert raw.boxes.shape == (len(items), 4)
    assert len(raw.keypoints) == counts.get("pose", 0)


def test_declared_classes_come_first_and_unused_ones_are_reported():
    items = [
        *objects({"box": 1}, "b"),
        *objects({"box": 1}, "z"),
        *objects({"box": 1}, "a"),
        *objects({"tag": 1}, "t"),
    ]
    found = infer_task(items, ["z", "idle", "b", "z"])
    assert found.names == ("z", "b", "a")
    assert "classes that are declared, but that no object has, are left out: idle" in found.remarks
    assert build_raw_objects(items, found).classes.tolist() == [1, 0, 2]
