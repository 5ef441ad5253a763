"""Which task the shapes of a source serve, and what is handed on of them."""

import pytest

from pipeline.source.reading import shapes, task_inference
from pipeline.source.reading.shapes import TAG, AnnotatedObject

BOX = shapes.box((10, 20, 50, 60))
SHAPES = {
    "box": BOX,
    "rotated": shapes.turned(BOX, 30, (30, 40)),
    "outline": shapes.outline(shapes.ring([[1, 2], [30, 4], [5, 60]])),
    "pose": shapes.pose({"nose": (10.0, 20.0, 2)}, BOX),
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
def test_the_richest_task_that_nearly_all_serve(counts, task, remarks):
    found = task_inference.plan(objects(counts))
    assert (found.task, len(found.remarks)) == (task, remarks)


@pytest.mark.parametrize(
    ("counts", "parts"),
    [
        ({"box": 1}, []),
        ({"rotated": 1, "box": 1}, [1, 1]),
        ({"outline": 20, "box": 1}, [1] * 20 + [0]),
        ({"pose": 1}, []),
        ({"outline": 1, "box": 2}, [1, 0, 0]),  # for whom data.task=segment
    ],
)
def test_outlines_are_handed_on_where_the_task_has_them(counts, parts):
    every = objects(counts)
    raw = task_inference.raw(every, task_inference.plan(every))
    assert [len(outline) for outline in raw.outlines] == parts
    assert raw.boxes.shape == (len(every), 4)
    assert len(raw.keypoints) == counts.get("pose", 0)


def test_declared_classes_come_first_in_their_order_and_idle_ones_are_named():
    every = [
        *objects({"box": 1}, "b"),
        *objects({"box": 1}, "z"),
        *objects({"box": 1}, "a"),
        *objects({"tag": 1}, "t"),
    ]
    found = task_inference.plan(every, ["z", "idle", "b", "z"])
    assert found.names == ("z", "b", "a")
    assert "classes that are declared, but that no object has, are left out: idle" in found.remarks
    assert task_inference.raw(every, found).classes.tolist() == [1, 0, 2]
