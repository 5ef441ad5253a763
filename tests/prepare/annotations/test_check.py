"""Check of objects for a task: duplicates, and different objects that look alike."""

import numpy as np

from pipeline.prepare.annotations.check import TaskRequirements, check_objects
from pipeline.prepare.annotations.repair import compute_ring_area
from tests.prepare.annotations.raw_objects import SIZE, SQUARE, build_raw_objects, rotate_rectangle


def test_class_given_twice_for_an_image_counts_once():
    found = check_objects(build_raw_objects(SQUARE, SQUARE / 2), TaskRequirements("classify", 1), size=SIZE)
    assert found.classes.tolist() == [0]
    assert [note.kind for note in found.notes] == ["duplicate"]


def test_different_outlines_with_the_same_box_are_kept():
    found = check_objects(
        build_raw_objects(SQUARE, SQUARE[:3], SQUARE), TaskRequirements("segment", 1), size=SIZE
    )
    assert [len(outline) for outline in found.outlines] == [4, 3]
    assert found.boxes.tolist() == [[20, 20, 60, 60]] * 2
    assert [note.kind for note in found.notes] == ["duplicate"]


def test_duplicate_rotated_box_is_found_for_any_first_corner():
    box = rotate_rectangle(40, 20, 30)
    found = check_objects(
        build_raw_objects(box, np.roll(box, 1, axis=0), box[::-1]), TaskRequirements("obb", 1), size=SIZE
    )
    assert len(found.outlines) == 1
    assert [note.kind for note in found.notes] == ["duplicate", "duplicate"]


def test_outlines_with_the_same_corners_in_another_order_are_kept():
    arrow = np.array([[10.0, 10], [50, 30], [10, 50], [20, 30]])  # its last corner is between the others
    arrows = arrow, arrow[[0, 1, 3, 2]], arrow[[0, 3, 1, 2]], np.roll(arrow[::-1], 1, axis=0)
    found = check_objects(
        build_raw_objects(*arrows, SQUARE[[0, 2, 1, 3]], SQUARE), TaskRequirements("segment", 1), size=SIZE
    )
    assert [compute_ring_area(outline) for outline in found.outlines] == [600, 500, 500, 800, 1600]
    assert [note.kind for note in found.notes] == ["duplicate", "self-crossing"]


def test_different_poses_with_the_same_box_are_kept():
    poses = tuple(np.array([[30.0, 30 + shift, 2]]) for shift in (0, 5, 0))
    found = check_objects(
        build_raw_objects(SQUARE, SQUARE, SQUARE, keypoints=poses), TaskRequirements("pose", 1, 1), size=SIZE
    )
    assert [points.tolist() for points in found.keypoints] == [poses[0].tolist(), poses[1].tolist()]
    assert [note.reason for note in found.notes] == ["object 2: the same as object 0"]
