"""Conversion of annotations to other tasks and to pixels."""

import numpy as np

from pipeline.prepare.annotations.check import TaskRequirements, check_objects
from pipeline.prepare.annotations.convert import convert_objects, fit_rectangle, scale_to_pixels
from tests.prepare.annotations.raw_objects import NAN, SIZE, SQUARE, build_raw_objects, rotate_rectangle


def test_outlines_are_converted_to_boxes_and_rectangles():
    found = convert_objects(build_raw_objects(rotate_rectangle(40, 20, 30)), "segment", "obb")
    np.testing.assert_allclose(
        sorted(found.outlines[0][0].tolist()), sorted(rotate_rectangle(40, 20, 30).tolist())
    )
    plain = convert_objects(build_raw_objects(SQUARE, keypoints=(np.zeros((2, 3)),)), "pose", "detect")
    assert (plain.outlines, plain.keypoints, plain.boxes.tolist()) == ((), (), [[20, 20, 60, 60]])
    assert convert_objects(plain, "detect", "detect") is plain


def test_points_on_a_line_are_not_converted_and_are_reported():
    line = np.array([[1.0, 1], [2, 2], [3, 3]])
    assert fit_rectangle(line) is None
    broken = convert_objects(build_raw_objects(line, SQUARE * NAN), "segment", "obb")
    kinds = [note.kind for note in check_objects(broken, TaskRequirements("obb", 1), size=SIZE).notes]
    assert kinds == ["no-area", "no-number"]


def test_outline_with_huge_coordinates_is_not_converted():
    """GEOS would warn of an overflow, or raise an error by chance."""
    found = convert_objects(build_raw_objects(SQUARE * 1e300), "segment", "obb")
    assert found.outlines[0][0].tolist() == (SQUARE * 1e300).tolist()


def test_shares_are_scaled_to_pixels():
    pose = np.array([[0.5, 0.5, 2]])
    found = scale_to_pixels(build_raw_objects(SQUARE / SIZE, keypoints=(pose,)), SIZE)
    np.testing.assert_allclose(found.boxes, [[20, 20, 60, 60]])
    np.testing.assert_allclose(found.outlines[0][0], SQUARE)
    assert found.keypoints[0].tolist() == [[50, 40, 2]]


def test_share_that_overflows_is_reported_without_a_warning():
    """A typo in an exponent; pytest turns a warning of NumPy into an error."""
    found = scale_to_pixels(build_raw_objects(SQUARE * 1e306), SIZE)
    checked = check_objects(found, TaskRequirements("segment", classes=2), size=SIZE)
    assert not len(checked.classes)
    assert [note.kind for note in checked.notes] == ["no-number"]
