"""Outlines, rotated boxes and poses: what is kept, mended and left out."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.annotations import RawObjects
from pipeline.prepare.annotations import repair
from pipeline.prepare.annotations.boxes import UnusableObjectError
from pipeline.prepare.annotations.check import TaskRequirements, check
from pipeline.prepare.annotations.convert import convert, rectangle, scaled
from pipeline.prepare.annotations.repair import repair_keypoints, repair_rectangle

SIZE = (100, 80)
SQUARE = np.array([[20.0, 20], [60, 20], [60, 60], [20, 60]])
NAN = float("nan")


def turned(width, height, degrees, centre=(50.0, 40.0)):
    """Return the corners of a rectangle that is turned about its centre."""
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    angle = math.radians(degrees)
    spin = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return corners @ spin + centre


# ---- outlines


def test_a_sound_outline_stays_as_it_is():
    outline, found = repair.mend([SQUARE], SIZE)
    assert outline.tolist() == SQUARE.tolist()
    assert found == []


def test_a_closing_point_and_repeated_ones_are_no_finding():
    outline, found = repair.mend([np.repeat([*SQUARE, SQUARE[0]], 2, axis=0)], SIZE)
    assert sorted(outline.tolist()) == sorted(SQUARE.tolist())
    assert found == []


def test_a_bow_tie_becomes_its_two_triangles():
    outline, found = repair.mend([SQUARE[[0, 2, 1, 3]]], SIZE)
    assert [kind for kind, _ in found] == ["self-crossing"]
    assert repair.area(outline) == pytest.approx(800)


def test_parts_are_joined_without_a_word_and_their_areas_add_up():
    parts = [SQUARE / 4, SQUARE / 4 + 40, SQUARE / 4 + [60, 0]]
    outline, found = repair.mend(parts, SIZE)
    assert found == []
    assert repair.area(outline) == pytest.approx(300)
    again, found = repair.mend([outline], SIZE)  # a bridge is no crossing
    assert found == []
    assert again.tolist() == outline.tolist()


def test_parts_that_overlap_count_once():
    outline, found = repair.mend([SQUARE, np.add(SQUARE, (20, 0))], SIZE)
    assert found == []
    assert repair.area(outline) == pytest.approx(60 * 40)


def test_what_lies_outside_is_cut_off():
    outline, found = repair.mend([np.add(SQUARE, (60, 0))], SIZE)
    assert [kind for kind, _ in found] == ["clipped"]
    assert repair.area(outline) == pytest.approx(20 * 40)
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
def test_an_outline_that_cannot_be_used(parts, kind):
    with pytest.raises(UnusableObjectError) as unfit:
        repair.mend(parts, SIZE)
    assert unfit.value.kind == kind


def test_a_part_of_too_few_points_is_left_out_and_named():
    outline, found = repair.mend([SQUARE, SQUARE[:2]], SIZE)
    assert outline.tolist() == SQUARE.tolist()
    assert [kind for kind, _ in found] == ["few-points"]


numbers = st.one_of(st.floats(-50, 150, width=16), st.sampled_from([0.0, 100.0, 80.0, NAN, 1e9]))
rings = st.lists(st.tuples(numbers, numbers), max_size=7).map(
    lambda ring: np.array(ring, float).reshape(-1, 2)
)


@given(st.lists(rings, max_size=3))
def test_whatever_comes_in_an_outline_lies_in_the_image_and_has_an_area(parts):
    try:
        outline, _ = repair.mend(parts, SIZE)
    except UnusableObjectError:
        return
    assert (outline >= 0).all()
    assert (outline <= SIZE).all()
    assert len(outline) >= 3
    assert repair.area(outline) >= 0.25
    whole = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in parts if len(ring) >= 3])
    seen = shapely.intersection(whole, shapely.box(0, 0, *SIZE)).area
    assert repair.area(outline) == pytest.approx(seen, rel=0.02, abs=1.5)


# ---- rotated boxes


@pytest.mark.parametrize("degrees", [0, 10, 45, 90, 170])
def test_a_rectangle_keeps_its_corners(degrees):
    corners = turned(40, 20, degrees)
    found, said = repair_rectangle([corners], SIZE)
    np.testing.assert_allclose(found, corners)
    assert said == []


def test_what_is_no_rectangle_becomes_the_smallest_one():
    kite = np.array([[50.0, 10], [60, 40], [50, 70], [40, 40]])
    found, said = repair_rectangle([kite], SIZE)
    assert [kind for kind, _ in said] == ["no-rectangle"]
    hull = shapely.Polygon(found).buffer(1e-9)
    assert all(hull.covers(shapely.Point(point)) for point in kite)


def test_corners_in_the_wrong_order_are_put_right():
    found, said = repair_rectangle([SQUARE[[0, 2, 1, 3]]], SIZE)
    assert sorted(found.round(6).tolist()) == sorted(SQUARE.tolist())
    assert [kind for kind, _ in said] == ["no-rectangle"]


@given(st.floats(5, 60), st.floats(5, 60), st.floats(0, 360), st.floats(-10, 110), st.floats(-10, 90))
def test_a_rectangle_cut_by_the_border_keeps_its_direction_and_shrinks_to_what_shows(
    width, height, degrees, x, y
):
    corners = turned(width, height, degrees, (x, y))
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
def test_a_rotated_box_that_cannot_be_used(parts, kind):
    with pytest.raises(UnusableObjectError) as unfit:
        repair_rectangle(parts, SIZE)
    assert unfit.value.kind == kind


def test_a_turned_box_around_the_whole_image_becomes_upright():
    found, _ = repair_rectangle([turned(300, 300, 45)], SIZE)
    assert found.tolist() == [[0, 0], [100, 0], [100, 80], [0, 80]]


# ---- key points


def test_a_point_outside_is_taken_as_not_labelled_and_its_place_forgotten():
    given_ = np.array([[10.0, 20, 2], [101, 20, 2], [30, NAN, 1], [-0.3, 80.2, 1]])
    found, said = repair_keypoints(given_, SIZE, count=4)
    assert found.tolist() == [[10, 20, 2], [0, 0, 0], [0, 0, 0], [0, 80, 1]]
    assert said == [("hidden-point", "2 key points outside the image: taken as not labelled")]


def test_a_box_without_any_point_is_kept_and_named():
    for given_ in (np.zeros((0, 3)), np.zeros((3, 3)), np.full((3, 3), -1.0)):
        found, said = repair_keypoints(given_, SIZE, count=3)
        assert found.tolist() == [[0, 0, 0]] * 3
        assert [kind for kind, _ in said] == ["no-keypoints"]


def test_another_number_of_points_is_no_pose():
    with pytest.raises(UnusableObjectError, match="2 key points, but a pose has 3"):
        repair_keypoints(np.zeros((2, 3)), SIZE, count=3)


# ---- all of an object, for a task


def raw(*outlines: np.ndarray, keypoints=()):
    boxes = [[*part.min(axis=0), *part.max(axis=0)] for part in outlines]
    marks = tuple(f"object {number}" for number in range(len(outlines)))
    parts = tuple((part,) for part in outlines)
    return RawObjects(np.zeros(len(outlines), np.int64), np.array(boxes), marks, parts, keypoints)


def test_a_class_that_an_image_has_twice_counts_once():
    found = check(raw(SQUARE, SQUARE / 2), TaskRequirements("classify", 1), size=SIZE)
    assert found.classes.tolist() == [0]
    assert [note.kind for note in found.notes] == ["duplicate"]


def test_two_outlines_in_one_box_are_two_objects():
    found = check(raw(SQUARE, SQUARE[:3], SQUARE), TaskRequirements("segment", 1), size=SIZE)
    assert [len(outline) for outline in found.outlines] == [4, 3]
    assert found.boxes.tolist() == [[20, 20, 60, 60]] * 2
    assert [note.kind for note in found.notes] == ["duplicate"]


def test_a_rotated_box_given_twice_is_one_whichever_corner_it_begins_with():
    box = turned(40, 20, 30)
    found = check(raw(box, np.roll(box, 1, axis=0), box[::-1]), TaskRequirements("obb", 1), size=SIZE)
    assert len(found.outlines) == 1
    assert [note.kind for note in found.notes] == ["duplicate", "duplicate"]


def test_outlines_through_the_same_corners_in_another_order_are_several_objects():
    arrow = np.array([[10.0, 10], [50, 30], [10, 50], [20, 30]])  # its last corner lies between the others
    arrows = arrow, arrow[[0, 1, 3, 2]], arrow[[0, 3, 1, 2]], np.roll(arrow[::-1], 1, axis=0)
    found = check(raw(*arrows, SQUARE[[0, 2, 1, 3]], SQUARE), TaskRequirements("segment", 1), size=SIZE)
    assert [repair.area(outline) for outline in found.outlines] == [600, 500, 500, 800, 1600]
    assert [note.kind for note in found.notes] == ["duplicate", "self-crossing"]


def test_two_poses_in_one_box_are_two_objects():
    poses = tuple(np.array([[30.0, 30 + shift, 2]]) for shift in (0, 5, 0))
    found = check(raw(SQUARE, SQUARE, SQUARE, keypoints=poses), TaskRequirements("pose", 1, 1), size=SIZE)
    assert [points.tolist() for points in found.keypoints] == [poses[0].tolist(), poses[1].tolist()]
    assert [note.reason for note in found.notes] == ["object 2: the same as object 0"]


def test_outlines_become_boxes_and_rectangles():
    found = convert(raw(turned(40, 20, 30)), "segment", "obb")
    np.testing.assert_allclose(sorted(found.outlines[0][0].tolist()), sorted(turned(40, 20, 30).tolist()))
    plain = convert(raw(SQUARE, keypoints=(np.zeros((2, 3)),)), "pose", "detect")
    assert (plain.outlines, plain.keypoints, plain.boxes.tolist()) == ((), (), [[20, 20, 60, 60]])
    assert convert(plain, "detect", "detect") is plain


def test_a_line_has_no_rectangle_and_stays_to_be_reported():
    line = np.array([[1.0, 1], [2, 2], [3, 3]])
    assert rectangle(line) is None
    broken = convert(raw(line, SQUARE * NAN), "segment", "obb")
    kinds = [note.kind for note in check(broken, TaskRequirements("obb", 1), size=SIZE).notes]
    assert kinds == ["no-area", "no-number"]


def test_shares_become_pixels():
    pose = np.array([[0.5, 0.5, 2]])
    found = scaled(raw(SQUARE / SIZE, keypoints=(pose,)), SIZE)
    np.testing.assert_allclose(found.boxes, [[20, 20, 60, 60]])
    np.testing.assert_allclose(found.outlines[0][0], SQUARE)
    assert found.keypoints[0].tolist() == [[50, 40, 2]]


def test_a_share_that_is_too_large_for_pixels_is_reported_without_a_warning():
    """An exponent where a comma was meant; pytest makes an error of NumPy's warning."""
    found = scaled(raw(SQUARE * 1e306), SIZE)
    checked = check(found, TaskRequirements("segment", known=2), size=SIZE)
    assert not len(checked.classes)
    assert [note.kind for note in checked.notes] == ["no-number"]
