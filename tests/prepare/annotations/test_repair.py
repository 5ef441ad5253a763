"""Repair of outlines, rotated boxes and key points."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.annotations.boxes import UnusableObjectError
from pipeline.prepare.annotations.repair import (
    compute_ring_area,
    repair_keypoints,
    repair_outline,
    repair_rectangle,
)
from tests.prepare.annotations.raw_objects import NAN, SIZE, SQUARE, rotate_rectangle

# ---- outlines


def test_valid_outline_is_unchanged():
    outline, found = repair_outline([SQUARE], SIZE)
    assert outline.tolist() == SQUARE.tolist()
    assert found == []


def test_closing_and_repeated_points_are_removed_without_a_finding():
    outline, found = repair_outline([np.repeat([*SQUARE, SQUARE[0]], 2, axis=0)], SIZE)
    assert sorted(outline.tolist()) == sorted(SQUARE.tolist())
    assert found == []


def test_self_crossing_outline_becomes_the_regions_it_encloses():
    outline, found = repair_outline([SQUARE[[0, 2, 1, 3]]], SIZE)
    assert [kind for kind, _ in found] == ["self-crossing"]
    assert compute_ring_area(outline) == pytest.approx(800)


def test_parts_are_joined_without_a_finding_and_keep_their_area():
    parts = [SQUARE / 4, SQUARE / 4 + 40, SQUARE / 4 + [60, 0]]
    outline, found = repair_outline(parts, SIZE)
    assert found == []
    assert compute_ring_area(outline) == pytest.approx(300)
    again, found = repair_outline([outline], SIZE)  # a bridge is no crossing
    assert found == []
    assert again.tolist() == outline.tolist()


def test_overlap_of_parts_counts_once():
    outline, found = repair_outline([SQUARE, np.add(SQUARE, (20, 0))], SIZE)
    assert found == []
    assert compute_ring_area(outline) == pytest.approx(60 * 40)


def test_outline_is_clipped_to_the_image():
    outline, found = repair_outline([np.add(SQUARE, (60, 0))], SIZE)
    assert [kind for kind, _ in found] == ["clipped"]
    assert compute_ring_area(outline) == pytest.approx(20 * 40)
    assert outline.max(axis=0).tolist() == [100, 60]


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([], "no-outline"),
        ([SQUARE[:2]], "few-points"),
        ([np.repeat(SQUARE[:2], 5, axis=0)], "few-points"),
        ([np.array([[1.0, 1], [2, 2], [3, 3]])], "no-area"),
        ([SQUARE * NAN], "no-number"),
        ([SQUARE * 1e300], "outside"),
        ([SQUARE + 200], "outside"),
        ([np.array([[-0.5, 10.0], [0, 10], [0, 60], [-0.5, 60]])], "outside"),
    ],
)
def test_unusable_outline_is_rejected(parts, kind):
    with pytest.raises(UnusableObjectError) as error:
        repair_outline(parts, SIZE)
    assert error.value.kind == kind


def test_part_with_too_few_points_is_dropped_with_a_finding():
    outline, found = repair_outline([SQUARE, SQUARE[:2]], SIZE)
    assert outline.tolist() == SQUARE.tolist()
    assert [kind for kind, _ in found] == ["few-points"]


numbers = st.one_of(st.floats(-50, 150, width=16), st.sampled_from([0.0, 100.0, 80.0, NAN, 1e9]))
rings = st.lists(st.tuples(numbers, numbers), max_size=7).map(
    lambda ring: np.array(ring, float).reshape(-1, 2)
)


@given(st.lists(rings, max_size=3))
def test_any_repaired_outline_is_inside_the_image_and_has_an_area(parts):
    try:
        outline, _ = repair_outline(parts, SIZE)
    except UnusableObjectError:
        return
    assert (outline >= 0).all()
    assert (outline <= SIZE).all()
    assert len(outline) >= 3
    assert compute_ring_area(outline) >= 0.25
    whole = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in parts if len(ring) >= 3])
    seen = shapely.intersection(whole, shapely.box(0, 0, *SIZE)).area
    assert compute_ring_area(outline) == pytest.approx(seen, rel=0.02, abs=1.5)


# ---- rotated boxes


@pytest.mark.parametrize("degrees", [0, 10, 45, 90, 170])
def test_valid_rectangle_keeps_its_corners(degrees):
    corners = rotate_rectangle(40, 20, degrees)
    found, repairs = repair_rectangle([corners], SIZE)
    np.testing.assert_allclose(found, corners)
    assert repairs == []


def test_other_quadrilateral_becomes_the_smallest_rectangle_around_it():
    kite = np.array([[50.0, 10], [60, 40], [50, 70], [40, 40]])
    found, repairs = repair_rectangle([kite], SIZE)
    assert [kind for kind, _ in repairs] == ["no-rectangle"]
    hull = shapely.Polygon(found).buffer(1e-9)
    assert all(hull.covers(shapely.Point(point)) for point in kite)


def test_corners_in_the_wrong_order_become_a_rectangle():
    found, repairs = repair_rectangle([SQUARE[[0, 2, 1, 3]]], SIZE)
    assert sorted(found.round(6).tolist()) == sorted(SQUARE.tolist())
    assert [kind for kind, _ in repairs] == ["no-rectangle"]


@given(st.floats(5, 60), st.floats(5, 60), st.floats(0, 360), st.floats(-10, 110), st.floats(-10, 90))
def test_rectangle_cut_by_the_border_keeps_its_direction_and_shrinks_to_its_visible_part(
    width, height, degrees, x, y
):
    corners = rotate_rectangle(width, height, degrees, (x, y))
    visible = shapely.intersection(shapely.Polygon(corners), shapely.box(0, 0, *SIZE))
    try:
        found, _ = repair_rectangle([corners], SIZE)
    except UnusableObjectError:
        assert visible.area < 1
        return
    rotated = shapely.Polygon(found)
    assert rotated.buffer(1e-3).covers(visible)
    assert shapely.Polygon(corners).buffer(1e-3).covers(rotated) or (np.ptp(corners, axis=0) > SIZE).any()


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([], "few-points"),
        ([SQUARE[:2]], "few-points"),
        ([SQUARE[[0, 1, 1, 0]]], "no-area"),
        ([SQUARE * NAN], "no-number"),
        ([SQUARE + 200], "outside"),
    ],
)
def test_unusable_rotated_box_is_rejected(parts, kind):
    with pytest.raises(UnusableObjectError) as error:
        repair_rectangle(parts, SIZE)
    assert error.value.kind == kind


def test_rotated_box_around_the_whole_image_becomes_upright():
    found, _ = repair_rectangle([rotate_rectangle(300, 300, 45)], SIZE)
    assert found.tolist() == [[0, 0], [100, 0], [100, 80], [0, 80]]


# ---- key points


def test_keypoint_outside_the_image_becomes_not_labelled():
    points = np.array([[10.0, 20, 2], [101, 20, 2], [30, NAN, 1], [-0.3, 80.2, 1]])
    found, repairs = repair_keypoints(points, SIZE, count=4)
    assert found.tolist() == [[10, 20, 2], [0, 0, 0], [0, 0, 0], [0, 80, 1]]
    assert repairs == [("hidden-point", "2 key points outside the image: taken as not labelled")]


def test_odd_visibility_is_rounded_with_a_finding():
    points = np.array([[10.0, 20, 2], [10, 20, 3], [10, 20, 0.2], [10, 20, 0], [10, 20, -1]])
    found, repairs = repair_keypoints(points, SIZE, count=5)
    assert found[:, 2].tolist() == [2, 2, 1, 0, 0]
    assert [kind for kind, _ in repairs] == ["hidden-point"]


def test_box_without_keypoints_is_kept_with_a_finding():
    for points in (np.zeros((0, 3)), np.zeros((3, 3)), np.full((3, 3), -1.0)):
        found, repairs = repair_keypoints(points, SIZE, count=3)
        assert found.tolist() == [[0, 0, 0]] * 3
        assert [kind for kind, _ in repairs] == ["no-keypoints"]


def test_wrong_number_of_keypoints_is_rejected():
    with pytest.raises(UnusableObjectError, match="2 key points, but a pose has 3"):
        repair_keypoints(np.zeros((2, 3)), SIZE, count=3)
