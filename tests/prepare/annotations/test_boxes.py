"""Check of upright boxes: which are used, repaired and dropped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.annotations import RawObjects
from pipeline.prepare.annotations.boxes import ROUNDING_TOLERANCE
from pipeline.prepare.annotations.check import TaskRequirements, _check_one_by_one, check_objects

SIZE = (100, 80)
NAN, INF = float("nan"), float("inf")


def check_boxes(*boxes: list[float], classes=None, num_classes=2):
    numbers = np.array(classes or [0] * len(boxes), np.int64)
    marks = tuple(f"object {number}" for number in range(1, len(boxes) + 1))
    raw = RawObjects(numbers, np.array(boxes, float).reshape(-1, 4), marks)
    return check_objects(raw, TaskRequirements("detect", num_classes), size=SIZE)


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([NAN, 0, 10, 10], "no numbers: nan 0 10 10"),
        ([0, 0, INF, 10], "no numbers: 0 0 inf 10"),
        ([10, 10, 10, 30], "no area: 0 x 20 pixels"),
        ([10, 10, 10.4, 30], "no area: 0.4 x 20 pixels"),
        ([100, 10, 130, 30], "outside the image of 100 x 80 pixels"),
        ([-30, 10, -2, 30], "outside the image"),
        ([99.8, 10, 130, 30], "outside the image"),
    ],
)
def test_unusable_box_is_dropped_with_a_reason(box, reason):
    found = check_boxes([1, 2, 3, 4], box)
    assert found.boxes.tolist() == [[1, 2, 3, 4]]
    [note] = found.notes
    assert note.dropped
    assert note.reason.startswith("object 2: ")
    assert reason in note.reason


@pytest.mark.parametrize(
    ("box", "used", "reason"),
    [
        ([30, 40, 10, 20], [10, 20, 30, 40], "corners in the wrong order: 30 40 10 20"),
        ([10, 40, 30, 20], [10, 20, 30, 40], "corners in the wrong order"),
        ([-5, 10, 30, 40], [0, 10, 30, 40], "clipped to the image of 100 x 80 pixels: -5 10 30 40"),
        ([10, 10, 30, 95], [10, 10, 30, 80], "clipped"),
    ],
)
def test_box_with_one_clear_answer_is_repaired_with_a_reason(box, used, reason):
    found = check_boxes(box)
    assert found.boxes.tolist() == [used]
    [note] = found.notes
    assert not note.dropped
    assert reason in note.reason


def test_less_than_half_a_pixel_outside_counts_as_rounding():
    found = check_boxes([-0.4, 0, 50, 80.5])
    assert found.boxes.tolist() == [[0, 0, 50, 80]]
    assert found.notes == ()


@pytest.mark.parametrize("cls", [-1, 2, 7])
def test_unknown_class_is_dropped(cls):
    found = check_boxes([1, 2, 3, 4], classes=[cls])
    assert len(found.classes) == 0
    assert f"class {cls}, but the classes are 0 to 1" in found.notes[0].reason


def test_duplicate_is_dropped_and_another_class_in_the_same_box_is_kept():
    found = check_boxes([1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], classes=[0, 0, 1])
    assert found.classes.tolist() == [0, 1]
    assert [note.reason for note in found.notes] == ["object 2: the same as object 1"]


def test_box_over_the_whole_image_is_used_and_noted():
    found = check_boxes([0, 0, 100, 80])
    assert found.boxes.tolist() == [[0, 0, 100, 80]]
    assert found.notes == ((False, "object 1: covers 100% of the image", "covers-everything"),)
    assert check_boxes([0, 0, 98, 80]).notes == ()


def test_each_finding_has_a_kind():
    found = check_boxes([NAN, 0, 1, 1], [9, 9, 1, 1], [5, 5, 5, 9], [200, 5, 220, 9], [0, 0, 9, 95])
    kinds = {note.reason.split(":")[0]: note.kind for note in found.notes}
    assert list(kinds.values()) == ["no-number", "inverted", "no-area", "outside", "clipped"]


def test_image_without_objects_is_valid():
    found = check_boxes()
    assert found.boxes.shape == (0, 4)
    assert found.classes.dtype == np.int64
    assert found.notes == ()


numbers = st.one_of(st.floats(-150, 250, width=32), st.sampled_from([NAN, INF, -INF, 0.0, 100.0, 80.0]))


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers, st.integers(-1, 3)), max_size=6))
def test_used_boxes_are_valid_and_dropped_ones_have_a_note(rows):
    found = check_boxes(*[row[:4] for row in rows], classes=[row[4] for row in rows])
    low, high = found.boxes[:, :2], found.boxes[:, 2:]
    assert np.isfinite(found.boxes).all()
    assert ((low >= 0) & (high <= np.array(SIZE)) & (high - low >= ROUNDING_TOLERANCE)).all()
    assert ((found.classes >= 0) & (found.classes < 2)).all()
    assert len(found.classes) + sum(note.dropped for note in found.notes) == len(rows)


@given(st.lists(st.tuples(*[st.integers(0, 39)] * 4, st.integers(0, 1)), max_size=6, unique=True))
def test_valid_boxes_are_unchanged(rows):
    boxes = [[x, y, x + 1 + w, y + 1 + h] for x, y, w, h, _ in rows]
    found = check_boxes(*boxes, classes=[row[4] for row in rows])
    assert found.boxes.tolist() == boxes
    assert found.notes == ()


edges = st.sampled_from(
    [-1.0, -0.0, 0.0, 0.4, 0.5, 1.0, 1.0004, 1.0006, 40.0, 79.6, 80.0, 80.5, 99.8, 100.0, 101.0]
)
values = st.one_of(edges, st.floats(0, 100), st.sampled_from([NAN, INF]))


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(-1, 2), st.tuples(values, values, values, values)), max_size=3),
    st.booleans(),
)
def test_fast_check_equals_the_check_one_by_one(rows, ordered):
    boxes = np.array([box for _, box in rows], float).reshape(-1, 4)
    if ordered:
        boxes = np.concatenate(
            [np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], 1
        )
    raw = RawObjects(
        np.array([cls for cls, _ in rows], np.int64), boxes, tuple(f"row {n}" for n in range(len(rows)))
    )
    fast, slow = (
        check_objects(raw, TaskRequirements("detect", 2), size=SIZE),
        _check_one_by_one(raw, TaskRequirements("detect", 2), SIZE),
    )
    assert (fast.classes.tolist(), fast.boxes.tolist(), fast.notes) == (
        slow.classes.tolist(),
        slow.boxes.tolist(),
        slow.notes,
    )
    assert (fast.classes.dtype, fast.boxes.dtype) == (slow.classes.dtype, slow.boxes.dtype)
