"""Keypoints that change places in a flipped image are paired by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.tasks import Keypoints
from pipeline.source.reading.flip_pairs import (
    COCO_KEYPOINTS,
    describe_unpaired_keypoints,
    pair_keypoints_by_name,
)


@pytest.mark.parametrize(
    ("names", "flip"),
    [
        (["nose", "left_eye", "right_eye"], (0, 2, 1)),
        (["RightHand", "LeftHand"], (1, 0)),
        (["eye-l", "eye-r", "tail"], (1, 0, 2)),
        (["L shoulder", "R shoulder"], (1, 0)),
        (["left_only", "nose"], (0, 1)),
        (["bright", "collar", "wheel"], (0, 1, 2)),
        (["LShoulder", "RShoulder", "neck"], (1, 0, 2)),
        (["lShoulder", "rShoulder"], (1, 0)),
        (["eyeL", "eyeR", "hip2L", "hip2R"], (1, 0, 3, 2)),
        (["Lip", "Rip", "Label", "Rabel", "ball", "barr"], (0, 1, 2, 3, 4, 5)),
        (["LShoulder", "Rib"], (0, 1)),
        (["left_a", "right_a", "right_a"], (1, 0, 2)),
        (["left", "LEFT", "right"], (2, 1, 0)),
        (["spine_1", "spine_2"], (0, 1)),
        (["1", "tip"], (0, 1)),
        (["point_0"], (0,)),
        ([], ()),
    ],
)
def test_left_and_right_are_paired(names, flip):
    assert pair_keypoints_by_name(names) == flip


@pytest.mark.parametrize(
    "form", ["{}", "point_{}", "kp{}", "Keypoint {}", "new-point-{}", "corner {}", "p{}"]
)
def test_names_that_are_mere_numbers_do_not_tell_which_points_change_places(form):
    names = [form.format(number) for number in range(1, 5)]
    assert pair_keypoints_by_name(names) == ()
    assert pair_keypoints_by_name([*names, "left", "right"]) == (0, 1, 2, 3, 5, 4)


@pytest.mark.parametrize(
    ("names", "remarks"), [(["port", "starboard"], 1), (["tip"], 0), (["l", "r", "tip"], 0), (["1", "2"], 1)]
)
def test_keypoints_without_pairs_give_a_remark(names, remarks):
    keypoints = Keypoints(tuple(names), pair_keypoints_by_name(names))
    assert len(describe_unpaired_keypoints(keypoints, "name them")) == remarks


def test_coco_keypoints_are_paired_as_in_ultralytics():
    flip = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert pair_keypoints_by_name(COCO_KEYPOINTS) == flip


@given(st.lists(st.text(max_size=4) | st.sampled_from(["left_a", "right_a", "l b", "r b"]), max_size=8))
def test_flipping_twice_restores_the_order(names):
    flip = pair_keypoints_by_name(names)
    assert [flip[other] for other in flip] == list(range(len(flip)))
    assert Keypoints(tuple(names), flip).flip == flip
