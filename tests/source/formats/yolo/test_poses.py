"""YOLO poses: told from outlines where data.yaml does not state them, their visibilities and their names."""

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.source.formats.yolo.label_layout import infer_label_layout, refuse_unstated_poses
from pipeline.source.formats.yolo.label_lines import parse_label_lines
from pipeline.source.reading.flip_pairs import COCO_KEYPOINTS
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests import sources

FACE = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8], [0.5, 0.9]])
"""Eyes, nose, corners of the mouth and chin, in shares of the box."""
COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def draw_poses(count, visibilities=None, rows=20):
    """Return label lines of boxes with `count` keypoints; 3 values per point with visibilities, else 2."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(rows):
        size = random.uniform(0.1, 0.5, 2)
        center = random.uniform(size / 2, 1 - size / 2)
        points = center + (FACE[:count] + random.normal(0, 0.02, (count, 2)) - 0.5) * size
        if visibilities is not None:
            points = np.column_stack([points, visibilities])
        lines.append(f"0 {' '.join(f'{value:.5g}' for value in (*center, *size, *points.ravel()))}")
    return "\n".join(lines)


def draw_outlines(corners, largest, *, centered=False, rows=200):
    """Return label lines of outlines with `corners` corners, of objects of up to a share of the image."""
    random = np.random.default_rng(0)
    lines = []
    for _ in range(rows):
        angles = np.sort(random.uniform(0, 2 * np.pi, corners))
        radii = random.uniform(0.6, 1, corners) * random.uniform(largest / 4, largest) / 2
        points = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
        middle = random.normal(0.5, 0.02, 2) if centered else random.uniform(largest / 2, 1 - largest / 2, 2)
        lines.append(f"0 {' '.join(f'{value:.5g}' for value in (points + middle).ravel())}")
    return "\n".join(lines)


@pytest.mark.parametrize("count", [2, 3, 5, 6])
def test_points_without_visibility_and_kpt_shape_are_refused(tmp_path, count):
    sources.write_yolo_source(tmp_path, {"one": draw_poses(count)}, train="images")
    with pytest.raises(UserError, match=rf"kpt_shape: \[{count}, 2\]"):
        read_source("yolo", tmp_path)
    sources.write_yolo_source(tmp_path, {}, train="images", kpt_shape=[count, 2])
    assert read_source("yolo", tmp_path).task == "pose"


@pytest.mark.parametrize("stated", [[], None])
def test_empty_flip_idx_is_none(tmp_path, stated):
    names = {0: ["left_eye", "right_eye"]}
    text = draw_poses(2, [2, 2])
    data = {"kpt_shape": [2, 3], "kpt_names": names, "flip_idx": stated}
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", **data)
    source = read_source("yolo", tmp_path)
    assert source.keypoints.flip == (1, 0)
    assert [remark for remark in source.remarks if "no flip_idx" in remark]


UNKNOWN = "have no names, and nothing states"


@pytest.mark.parametrize(
    ("stated", "flip"),
    [
        ({}, ()),
        ({"flip_idx": []}, ()),
        ({"flip_idx": [0, 1, 2, 3]}, (0, 1, 2, 3)),
        ({"flip_idx": [1, 0, 3, 2]}, (1, 0, 3, 2)),
        ({"kpt_names": {0: ["a", "b", "c", "d"]}}, (0, 1, 2, 3)),
        ({"kpt_names": {0: ["0", "1", "2", "3"]}}, ()),
        ({"kpt_names": {0: ["left_up", "right_up", "right_low", "left_low"]}}, (1, 0, 3, 2)),
    ],
)
def test_points_without_names_and_flip_idx_do_not_tell_which_change_places(tmp_path, stated, flip):
    text = draw_poses(4, [2, 2, 2, 2])
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[4, 3], **stated)
    source = read_source("yolo", tmp_path)
    assert (source.keypoints.count, source.keypoints.flip) == (4, flip)
    assert [UNKNOWN in remark for remark in source.remarks].count(True) == (not flip)


def test_poses_without_data_yaml_do_not_tell_which_points_change_places(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": draw_poses(4, [2, 2, 2, 2])}, names=None)
    source = read_source("yolo", tmp_path)
    assert (source.task, source.keypoints.flip) == ("pose", ())
    assert any(UNKNOWN in remark for remark in source.remarks)


def test_a_single_point_has_no_other_to_change_places_with(tmp_path):
    row = "0 0.5 0.5 0.4 0.8 0.5 0.5 2\n"
    sources.write_yolo_source(tmp_path, {"one": row}, train="images", kpt_shape=[1, 3])
    assert read_source("yolo", tmp_path).keypoints.flip == (0,)


def test_confidences_of_points_without_kpt_shape_are_refused(tmp_path):
    text = draw_poses(4, [0.91, 0.42, 0.73, 0.08])
    sources.write_yolo_source(tmp_path, {"one": text}, train="images")
    with pytest.raises(UserError, match=r"kpt_shape: \[4, 3\]"):
        read_source("yolo", tmp_path)


def test_outlines_that_look_like_poses_are_read_where_data_labels_says_so(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": draw_poses(5)}, train="images")
    assert read_source("yolo", tmp_path, ReadOptions(labels="shares")).task == "segment"


@pytest.mark.parametrize("task", ["segment", "obb", "detect", "pose"])
def test_outlines_that_look_like_poses_are_read_where_data_task_says_so(tmp_path, task):
    sources.write_yolo_source(tmp_path, {"one": draw_poses(2)}, train="images")
    if task in {"segment", "obb"}:
        assert read_source("yolo", tmp_path, ReadOptions(task=task)).task == "segment"
    else:
        with pytest.raises(UserError):
            read_source("yolo", tmp_path, ReadOptions(task=task))


@pytest.mark.parametrize("count", [2, 4, 5])
def test_visibilities_of_zero_and_one_are_a_pose(count):
    text = draw_poses(count, [1, 0, 1, 1, 1][:count])
    layout = infer_label_layout([parse_label_lines(text)])
    assert (layout.form, layout.keypoints.count) == ("pose", count)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("largest", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("corners", [4, 5, 6, 8, 16, 64])
def test_outlines_of_one_length_stay_outlines(corners, largest, centered):
    """All points of a small outline lie in the box that its first four numbers would be."""
    lines = parse_label_lines(draw_outlines(corners, largest, centered=centered))
    refuse_unstated_poses([lines])
    assert infer_label_layout([lines]).form == "outlines"


def test_outline_along_the_border_of_the_image_stays_an_outline():
    lines = parse_label_lines("0 0 0 0 1 1 1 1 0 0 0\n" * 5)
    refuse_unstated_poses([lines])
    assert infer_label_layout([lines]).form == "outlines"


@pytest.mark.parametrize(
    "text",
    ["", "0 1 1 1 1 1 1 1 1\n" * 2, "0 nan 1 1 1 1 1 1 1\n" * 9, "0 .5 .5 1e300 1 .5 .5 .5 .5\n" * 9],
)
def test_numbers_that_show_nothing_are_no_poses(text):
    refuse_unstated_poses([parse_label_lines(text)])


@pytest.mark.parametrize(("visibility", "word"), [(0.231, "data.predictions=labels"), (3, "must be 0")])
def test_visibilities_that_are_none_are_refused(tmp_path, visibility, word):
    text = draw_poses(3, [visibility, 0.5 if visibility < 1 else 2, visibility])
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[3, 3])
    with pytest.raises(UserError, match=word):
        read_source("yolo", tmp_path)


def test_confidences_are_read_where_they_are_said_to_be_labels(tmp_path):
    text = draw_poses(3, [0.9, 0.4, 0.2])
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[3, 3])
    assert read_source("yolo", tmp_path, ReadOptions(predictions="labels")).task == "pose"


@pytest.mark.parametrize(
    ("visibilities", "options"),
    [
        ([2, -1, -1], ReadOptions()),
        ([0.9, 2, 0.2], ReadOptions(predictions="labels")),
        ([3, 0.5, 3], ReadOptions(task="detect")),
    ],
)
def test_visibilities_that_show_nothing_are_read(tmp_path, visibilities, options):
    text = draw_poses(3, visibilities)
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[3, 3])
    assert read_source("yolo", tmp_path, options).task == "pose"


def test_few_odd_visibilities_are_left_to_the_check_of_keypoints(tmp_path):
    text = draw_poses(6, [2, 2, 2, 2, 2, 3])
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[6, 3])
    assert read_source("yolo", tmp_path).images[0].raw.keypoints[0][5, 2] == 3


def read_unnamed_person(folder, **yaml):
    row = f"0 0.5 0.5 0.4 0.8{' 0.5 0.5 2' * 17}\n"
    sources.write_yolo_source(folder, {"one": row}, train="images", kpt_shape=[17, 3], **yaml)
    return read_source("yolo", folder)


@pytest.mark.parametrize("yaml", [{}, {"flip_idx": COCO_FLIP}])
def test_seventeen_unnamed_points_are_those_of_a_person_with_a_remark(tmp_path, yaml):
    source = read_unnamed_person(tmp_path, **yaml)
    assert (source.keypoints.names, list(source.keypoints.flip)) == (COCO_KEYPOINTS, COCO_FLIP)
    [remark] = source.remarks
    assert "17 keypoints have no names" in remark


def test_seventeen_points_with_other_flip_pairs_are_numbered(tmp_path):
    source = read_unnamed_person(tmp_path, flip_idx=[1, 0, *range(2, 17)])
    assert (source.keypoints.names[0], source.remarks) == ("point_0", ())


def test_points_without_names_are_not_said_to_be_told_by_them(tmp_path):
    row = "0 0.5 0.5 0.4 0.8 0.5 0.5 2 0.6 0.6 2\n"
    sources.write_yolo_source(tmp_path, {"one": row}, train="images", kpt_shape=[2, 3])
    [remark] = read_source("yolo", tmp_path).remarks
    assert remark.startswith("the 2 keypoints have no names")
