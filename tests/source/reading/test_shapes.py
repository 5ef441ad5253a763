"""Annotated shapes, compared with plain geometry and shapely."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.reading.shapes import (
    TAG,
    build_box,
    build_ellipse,
    build_object,
    build_pose,
    parse_class_name,
    parse_coordinate,
    rotate_box,
)

some = st.floats(-500, 500)
positive = st.floats(1, 300)


@given(x=some, y=some, across=positive, down=positive, degrees=st.floats(-720, 720))
def test_ellipse_has_the_area_center_and_axis_of_the_formula(x, y, across, down, degrees):
    around = shapely.Polygon(build_ellipse((x, y), (across, down), degrees=degrees).parts[0])
    assert around.area == pytest.approx(math.pi * across * down, rel=0.003)
    assert around.centroid.coords[0] == pytest.approx((x, y), abs=1e-6 * max(across, down))
    axis = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    assert around.boundary.distance(shapely.Point((x, y) + axis * across)) < 0.01 * max(across, down)


@given(x=some, y=some, width=positive, height=positive, degrees=st.floats(-720, 720))
def test_rotated_box_equals_the_box_rotated_by_shapely(x, y, width, height, degrees):
    box = build_box((x, y, x + width, y + height))
    found = rotate_box(box, degrees, (x, y))
    upright = shapely.box(x, y, x + width, y + height)
    expected = shapely.affinity.rotate(upright, degrees, origin=(x, y))  # y points down: clockwise as seen
    assert shapely.Polygon(found.parts[0]).symmetric_difference(expected).area < 1e-3 * upright.area
    assert found.kind == ("box" if abs(math.remainder(degrees, 360)) < 1e-6 else "rotated")


@given(
    st.one_of(
        st.none(), st.booleans(), st.text(), st.binary(), st.floats(), st.integers(), st.lists(st.integers())
    )
)
def test_coordinate_is_finite_and_below_1e9_or_refused(value):
    try:
        found = parse_coordinate(value)
    except ValueError:
        return
    assert math.isfinite(found)
    assert abs(found) < 1e9


@pytest.mark.parametrize(
    ("value", "name"), [("cat", "cat"), (" big\n cat ", " big\n cat "), (3, "3"), ("猫", "猫")]
)
def test_class_name_is_returned_as_it_is_spelled(value, name):
    assert parse_class_name(value) == name


def test_class_of_an_object_is_one_line_and_keeps_its_spelling():
    assert build_object(" big\n cat ", TAG, "")[::3] == ("big cat", " big\n cat ")
    assert build_object("cat", TAG, "")[::3] == ("cat", "")


@pytest.mark.parametrize("value", ["", " \n", None, 1.5, True, [], {}])
def test_value_that_is_no_class_name_is_refused(value):
    with pytest.raises(ValueError, match="no class"):
        parse_class_name(value)


def test_box_keeps_swapped_corners():
    assert build_box((50, 60, 10, 20)).box.tolist() == [50, 60, 10, 20]


def test_pose_without_a_box_gets_the_box_around_its_labeled_keypoints():
    points = {"a": (10.0, 20.0, 2), "b": (50.0, 60.0, 1), "c": (0.0, 0.0, 0)}
    assert build_pose(points).box.tolist() == [10, 20, 50, 60]
    assert build_pose(points, build_box((0, 0, 90, 80))).box.tolist() == [0, 0, 90, 80]
