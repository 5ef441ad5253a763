"""Shapes as tools draw them, against plain geometry."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.source.reading import shapes

some = st.floats(-500, 500)
positive = st.floats(1, 300)


@given(x=some, y=some, across=positive, down=positive, degrees=st.floats(-720, 720))
def test_an_ellipse_covers_what_its_formula_says(x, y, across, down, degrees):
    around = shapely.Polygon(shapes.ellipse((x, y), (across, down), degrees=degrees).parts[0])
    assert around.area == pytest.approx(math.pi * across * down, rel=0.003)
    assert around.centroid.coords[0] == pytest.approx((x, y), abs=1e-6 * max(across, down))
    axis = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    assert around.boundary.distance(shapely.Point((x, y) + axis * across)) < 0.01 * max(across, down)


@given(x=some, y=some, width=positive, height=positive, degrees=st.floats(-720, 720))
def test_a_turned_box_is_what_shapely_turns(x, y, width, height, degrees):
    box = shapes.box((x, y, x + width, y + height))
    found = shapes.turned(box, degrees, (x, y))
    upright = shapely.box(x, y, x + width, y + height)
    expected = shapely.affinity.rotate(upright, degrees, origin=(x, y))  # y downwards: clockwise to the eye
    assert shapely.Polygon(found.parts[0]).symmetric_difference(expected).area < 1e-3 * upright.area
    assert found.kind == ("box" if abs(math.remainder(degrees, 360)) < 1e-6 else "rotated")


@given(
    st.one_of(
        st.none(), st.booleans(), st.text(), st.binary(), st.floats(), st.integers(), st.lists(st.integers())
    )
)
def test_a_number_is_one_or_is_refused(value):
    try:
        found = shapes.number(value)
    except ValueError:
        return
    assert math.isfinite(found)
    assert abs(found) < 1e9


@pytest.mark.parametrize(
    ("value", "name"), [("cat", "cat"), (" big\n cat ", "big cat"), (3, "3"), ("猫", "猫")]
)
def test_a_class_name_is_one_line(value, name):
    assert shapes.named(value) == name


@pytest.mark.parametrize("value", ["", " \n", None, 1.5, True, [], {}])
def test_what_names_no_class(value):
    with pytest.raises(ValueError, match="no class"):
        shapes.named(value)


def test_boxes_keep_corners_in_the_wrong_order_for_the_check():
    assert shapes.box((50, 60, 10, 20)).box.tolist() == [50, 60, 10, 20]


def test_a_pose_without_a_drawn_box_has_that_around_its_placed_points():
    points = {"a": (10.0, 20.0, 2), "b": (50.0, 60.0, 1), "c": (0.0, 0.0, 0)}
    assert shapes.pose(points).box.tolist() == [10, 20, 50, 60]
    assert shapes.pose(points, shapes.box((0, 0, 90, 80))).box.tolist() == [0, 0, 90, 80]
