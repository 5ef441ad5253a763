"""The fast check of objects gives the same result as the check one by one, or none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.annotations import RawObjects
from pipeline.prepare.annotations.check import TaskRequirements, _check_fast, _check_one_by_one, check_objects

SIZE = (100, 80)
NAN, INF = float("nan"), float("inf")
edges = st.sampled_from([-1.0, -0.4, -0.0, 0.0, 0.3, 1.0, 1.0004, 40.0, 79.7, 80.0, 80.4, 100.0, NAN, INF])
values = st.one_of(st.floats(0, 80), st.floats(0, 80), edges)
classes = st.integers(-1, 2)
rings = st.lists(st.tuples(values, values), min_size=1, max_size=7).map(np.array)
places, extents = st.floats(20, 60), st.floats(0.4, 19)
figures = st.tuples(places, places, extents, extents, st.floats(0, 6.3))
"""Center, half width and height, and angle of a figure inside the image."""


def regular_polygon(figure, corners):
    x, y, width, height, turn = figure
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    return np.array([x, y]) + np.stack([width * np.cos(angles), height * np.sin(angles)], axis=1)


def rotated_box(figure, shifts=((0, 0),) * 4):
    x, y, width, height, turn = figure
    upright = np.array([[-width, -height], [width, -height], [width, height], [-width, height]])
    return upright @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] + [x, y] + shifts


small_shifts = st.lists(st.tuples(*[st.sampled_from([0, 0, 1e-4, 0.01, 0.2])] * 2), min_size=4, max_size=4)
outlines = st.one_of(st.builds(regular_polygon, figures, st.integers(3, 9)), rings)
boxes = st.one_of(st.builds(rotated_box, figures), st.builds(rotated_box, figures, small_shifts), rings)
parts = st.one_of(*[st.tuples(outlines)] * 4, st.lists(outlines, max_size=2).map(tuple))
corners = st.one_of(*[st.tuples(boxes)] * 4, st.lists(boxes, max_size=2).map(tuple))


def as_lists(found):
    return (
        found.classes.tolist(),
        found.boxes.tolist(),
        found.notes,
        [shape.tobytes() for shape in (*found.outlines, *found.keypoints)],
        [shape.dtype for shape in (found.classes, found.boxes, *found.outlines, *found.keypoints)],
    )


def assert_same_result(raw, required):
    assert as_lists(check_objects(raw, required, size=SIZE)) == as_lists(
        _check_one_by_one(raw, required, SIZE)
    )


def raw_outlines(rows):
    numbers = np.array([cls for cls, _ in rows], np.int64)
    marks = tuple(f"row {number}" for number in range(len(rows)))
    return RawObjects(numbers, np.zeros((len(rows), 4)), marks, tuple(shape for _, shape in rows))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.just(0), st.just(1), classes), parts), max_size=3))
def test_fast_check_of_outlines_equals_the_check_one_by_one(rows):
    assert_same_result(raw_outlines(rows), TaskRequirements("segment", 2))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.just(0), st.just(1), classes), corners), max_size=3))
def test_fast_check_of_rotated_boxes_equals_the_check_one_by_one(rows):
    assert_same_result(raw_outlines(rows), TaskRequirements("obb", 2))


points = st.lists(st.tuples(values, values, st.sampled_from([0, 1, 2, 2.4, -1, NAN])), min_size=3, max_size=3)
upright = st.tuples(values, values, values, values).map(
    lambda box: [*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:])]
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(classes, upright, st.one_of(points, points, st.just([]))), max_size=3))
def test_fast_check_of_poses_equals_the_check_one_by_one(rows):
    numbers = np.array([row[0] for row in rows], np.int64)
    given = np.array([row[1] for row in rows], float).reshape(-1, 4)
    marks = tuple(f"row {number}" for number in range(len(rows)))
    keypoints = tuple(np.array(row[2], float).reshape(-1, 3) for row in rows)
    assert_same_result(RawObjects(numbers, given, marks, (), keypoints), TaskRequirements("pose", 2, 3))


FIGURE = (50, 40, 12, 7, 0.4)


@pytest.mark.parametrize(
    ("raw", "required"),
    [
        (
            raw_outlines([(0, (regular_polygon(FIGURE, 5),)), (1, (regular_polygon(FIGURE, 5),))]),
            TaskRequirements("segment", 2),
        ),
        (raw_outlines([(0, (rotated_box(FIGURE).round(3),))]), TaskRequirements("obb", 2)),
        (
            RawObjects(
                np.zeros(1, np.int64), np.array([[1.0, 2, 30, 40]]), ("",), (), (np.array([[3.0, 4, 2]]),)
            ),
            TaskRequirements("pose", 1, 1),
        ),
    ],
)
def test_valid_objects_pass_the_fast_check(raw, required):
    found = _check_fast(raw, required, SIZE)
    assert found
    assert as_lists(found) == as_lists(_check_one_by_one(raw, required, SIZE))
