"""Labels that are not what YOLO means are refused with what they look like, and read so when asked."""

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.source.formats.yolo.label_doubts import build_label_table
from pipeline.source.formats.yolo.label_lines import LabelLayout, parse_label_lines
from pipeline.source.recognize_format import read_source, recognize_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import SIZE

WIDTH, HEIGHT = SIZE
BOXES = np.random.default_rng(0).uniform([0, 0, 12, 12], [60, 50, 35, 29], (20, 4)).round()
"""Left, top, width and height of 20 objects in images of 96 x 80 pixels."""


def to_lines(rows, classes=None):
    classes = [number % 2 for number in range(len(rows))] if classes is None else classes
    return [f"{cls} {' '.join(f'{v:.6g}' for v in row)}\n" for cls, row in zip(classes, rows, strict=True)]


def write_rows(folder, rows, **options):
    lines = to_lines(rows)
    labels = {f"x{number}": "".join(lines[2 * number : 2 * number + 2]) for number in range(len(rows) // 2)}
    return sources.write_yolo_source(folder, labels, train="images", **options)


def get_corners(source):
    """Return the boxes in pixels."""
    corners = np.concatenate([image.raw.boxes for image in source.images])
    return corners * SHARES if source.images[0].normalized else corners


CORNERS = np.concatenate([BOXES[:, :2], BOXES[:, :2] + BOXES[:, 2:]], axis=1)
CENTERS = np.concatenate([BOXES[:, :2] + BOXES[:, 2:] / 2, BOXES[:, 2:]], axis=1)
SHARES = np.array([WIDTH, HEIGHT] * 2)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (CENTERS, "pixels"),
        (CORNERS, "pixel_corners"),
        (CORNERS / SHARES, "corners"),
    ],
    ids=["pixels", "pixel_corners", "corners"],
)
@pytest.mark.parametrize("form", ["auto", "yolo"])
def test_misread_labels_are_refused_and_read_exactly_when_asked(tmp_path, rows, labels, form):
    write_rows(tmp_path, rows)
    with pytest.raises(UserError, match=f"set data.labels={labels}") as refused:
        read_source(form, tmp_path)
    assert "labels/x" in str(refused.value)
    found = recognize_source(form, tmp_path, ReadOptions(labels=labels))
    assert found.form == "yolo"
    np.testing.assert_allclose(get_corners(found.source), CORNERS, atol=1e-3)
    assert found.source.names == ("a", "b")


def test_pixels_without_data_yaml_are_not_read_as_boxes_with_corners(tmp_path):
    write_rows(tmp_path, CENTERS, names=None)
    with pytest.raises(UserError, match=r"data\.labels=pixels"):
        read_source("auto", tmp_path)


def test_right_labels_are_read_without_a_word(tmp_path):
    source = read_source("auto", write_rows(tmp_path, CENTERS / SHARES))
    np.testing.assert_allclose(get_corners(source), CORNERS, atol=1e-3)
    assert source.remarks == ()


def test_left_top_corner_and_size_are_told(tmp_path):
    write_rows(tmp_path, BOXES * [0.4, 0.4, 1.2, 1.2] / SHARES)
    with pytest.raises(UserError, match="left top corner and the size"):
        read_source("yolo", tmp_path)


def test_a_few_boxes_that_reach_out_are_left_to_the_check_of_the_objects(tmp_path):
    rows = CENTERS / SHARES
    rows[:3, 0] = 0.99
    assert len(read_source("yolo", write_rows(tmp_path, rows)).images) == 10


def test_labels_that_are_called_right_are_not_doubted(tmp_path):
    write_rows(tmp_path, CENTERS)
    source = read_source("yolo", tmp_path, ReadOptions(labels="shares"))
    assert source.images[0].normalized
    assert source.images[0].raw.boxes.max() > 2


@pytest.mark.parametrize(
    ("rows", "labels", "said"),
    [
        (CENTERS / SHARES, "pixels", "no coordinate is above 1"),
        (CENTERS / SHARES, "pixel_corners", "no coordinate is above 1"),
        (CENTERS, "corners", "data.labels=pixel_corners"),
        (CENTERS, "pixel_corners", "no corners"),
        (CENTERS / SHARES, "corners", "no corners"),
    ],
)
def test_labels_that_contradict_the_option_are_refused(tmp_path, rows, labels, said):
    write_rows(tmp_path, rows)
    with pytest.raises(UserError, match=said):
        read_source("yolo", tmp_path, ReadOptions(labels=labels))


def test_outlines_in_pixels_are_read_when_asked(tmp_path):
    outline = "0 10 20 60 20 50 70\n"
    sources.write_yolo_source(tmp_path, {"x": outline, "y": outline}, train="images")
    with pytest.raises(UserError, match=r"data\.labels=pixels"):
        read_source("auto", tmp_path)
    source = read_source("auto", tmp_path, ReadOptions(labels="pixels"))
    assert source.task == "segment"
    [[ring]] = source.images[0].raw.outlines
    assert ring.tolist() == [[10, 20], [60, 20], [50, 70]]
    assert not source.images[0].normalized


def test_predictions_of_a_model_are_refused_unless_asked_for(tmp_path):
    rows = np.column_stack([CENTERS / SHARES, np.linspace(0.3, 0.97, 20)])
    write_rows(tmp_path, rows)
    with pytest.raises(UserError, match=r"data\.predictions=labels"):
        read_source("yolo", tmp_path)
    source = read_source("yolo", tmp_path, ReadOptions(predictions="labels"))
    np.testing.assert_allclose(get_corners(source), CORNERS, atol=1e-3)


def write_scored(folder, scores, *, every=1, corners=False):
    """Write 60 boxes, or outlines of four corners; every n-th has a score."""
    rows = np.tile(CENTERS / SHARES, (3, 1)).tolist()
    if corners:
        rows = [[x, y, x + w / 2, y, x + w / 3, y + h / 2, x, y + h / 4] for x, y, w, h in rows]
    scored = [[*row, scores[n]] if n % every == 0 else row for n, row in enumerate(rows)]
    return write_rows(folder, scored)


CONFIDENCES = np.random.default_rng(2).uniform(0.25, 1, 60).round(2)
"""Two decimals: not all of them differ."""


@pytest.mark.parametrize("every", [1, 2, 4])
@pytest.mark.parametrize("corners", [False, True])
def test_confidences_of_some_or_all_objects_are_noticed(tmp_path, every, corners):
    write_scored(tmp_path, CONFIDENCES, every=every, corners=corners)
    with pytest.raises(UserError, match=rf"{60 // every} of 60 objects end .*data\.predictions=labels"):
        read_source("yolo", tmp_path)
    source = read_source("yolo", tmp_path, ReadOptions(predictions="labels"))
    plain = read_source("yolo", write_scored(tmp_path / "plain", CONFIDENCES, every=99, corners=corners))
    for image, other in zip(source.images, plain.images, strict=True):
        np.testing.assert_array_equal(image.raw.boxes[1:], other.raw.boxes[-1:])
    assert source.task == ("segment" if corners else "detect")


@pytest.mark.parametrize("scores", [[0.25, 0.5, 0.75] * 20, [0.0, 1.0] * 30, [2.5] * 60])
def test_levels_after_a_box_are_no_confidences(tmp_path, scores):
    source = read_source("yolo", write_scored(tmp_path, scores))
    assert sum(len(image.raw.boxes) for image in source.images) == 60


@pytest.mark.parametrize("stated", [True, False])
def test_poses_are_no_predictions(tmp_path, stated):
    points = np.random.default_rng(1).uniform(0.2, 0.8, (20, 3, 2))
    seen = np.full((20, 3, 1), 2)
    keypoints = np.concatenate([points, seen], axis=2).reshape(20, -1)
    write_rows(tmp_path, np.column_stack([CENTERS / SHARES, keypoints]))
    if stated:
        data = tmp_path / "data.yaml"
        data.write_text(f"{data.read_text()}\nkpt_shape: [3, 3]\n")
    source = read_source("auto", tmp_path)
    assert source.task == "pose"
    np.testing.assert_allclose(get_corners(source), CORNERS, atol=1e-3)


def test_boxes_that_reach_out_by_a_small_part_of_themselves_are_not_misread(tmp_path):
    rows = CENTERS / SHARES
    rows[::2, 0] = rows[::2, 2] * 0.42
    assert len(read_source("auto", write_rows(tmp_path, rows)).images) == 10
    rows[::2, 0] = rows[::2, 2] * 0.2
    with pytest.raises(UserError, match="10 of 20 objects reach out of their image"):
        read_source("auto", write_rows(tmp_path, rows))


def test_lines_that_are_no_labels_are_refused_if_they_are_many(tmp_path):
    text = "cat 0.5 0.5 0.2 0.2\n"
    sources.write_yolo_source(
        tmp_path, dict.fromkeys("abcd", text) | {"e": "0 0.5 0.5 0.2 0.2\n"}, train="images"
    )
    with pytest.raises(UserError, match=r"4 of 5 lines are no YOLO labels, such as line 1: .*cat 0.5"):
        read_source("yolo", tmp_path)


def test_boxes_without_width_are_refused_if_they_are_many(tmp_path):
    rows = CENTERS / SHARES
    rows[:6, 2] = 0
    with pytest.raises(UserError, match="6 of 20 objects have no width or no height"):
        read_source("yolo", write_rows(tmp_path, rows))


def test_table_has_a_row_per_object_of_all_files():
    files = [
        parse_label_lines(text) for text in ("1 .5 .5 .2 .2\nx\n0 .1 .2 .3 .4 .5 .6", "", "2 .1 .1 .2 .2 .9")
    ]
    table = build_label_table(files, LabelLayout("outlines", extra_values=1))
    assert table.classes.tolist() == [1, 0, 2]
    assert table.heads.tolist() == [[0.5, 0.5, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.2, 0.2]]
    assert table.is_box.tolist() == [True, False, True]
    assert table.files.tolist() == [0, 0, 2]
    np.testing.assert_array_equal(table.scores, [np.nan, np.nan, 0.9])
    assert table.malformed == 1


def test_four_corners_that_are_no_rectangles_are_remarked(tmp_path):
    corners = "0 0.1 0.1 0.42 0.12 0.4 0.3 0.12 0.33\n"
    sources.write_yolo_source(tmp_path, dict.fromkeys("abc", corners), train="images")
    source = read_source("yolo", tmp_path)
    assert source.task == "segment"
    assert "data.task=obb" in source.remarks[0]


def test_outlines_with_more_corners_are_not_remarked(tmp_path):
    corners = "0 0.1 0.1 0.42 0.12 0.4 0.3 0.12 0.33\n0 0.1 0.1 0.42 0.12 0.4 0.3 0.12 0.33 0.05 0.2\n"
    sources.write_yolo_source(tmp_path, dict.fromkeys("abc", corners), train="images")
    assert read_source("yolo", tmp_path).remarks == ()


def test_value_after_a_box_that_may_be_an_angle_is_told(tmp_path):
    sources.write_yolo_source(tmp_path, dict.fromkeys("abc", "0 0.5 0.5 0.2 0.4 0.000\n"), train="images")
    source = read_source("yolo", tmp_path)
    assert (source.task, len(source.remarks)) == ("detect", 1)
    assert "angle" in source.remarks[0]
