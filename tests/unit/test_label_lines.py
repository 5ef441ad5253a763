import numpy as np
import pytest

from pipeline.core.label_lines import parse


@pytest.mark.parametrize(
    ("line", "cls", "box"),
    [
        ("1 0.5 0.5 0.2 0.4", 1, [0.4, 0.3, 0.6, 0.7]),
        ("2.0 .5 .5 .2 .4", 2, [0.4, 0.3, 0.6, 0.7]),
        ("0 0.1 0.2 0.5 0.3 0.4 0.9", 0, [0.1, 0.2, 0.5, 0.9]),
        ("0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2", 0, [0.1, 0.1, 0.3, 0.2]),
        ("-1 0.5 0.5 0.2 0.4", -1, [0.4, 0.3, 0.6, 0.7]),
    ],
)
def test_boxes_and_outlines(line, cls, box):
    lines = parse(line)
    assert lines.raw.classes.tolist() == [cls]
    np.testing.assert_allclose(lines.raw.boxes, [box])
    assert lines.notes == ()
    assert lines.polygons == (len(line.split()) > 5)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.2",
        "0 0.5 0.5 0.2 0.4 0.9",
        "0 0.1 0.2 0.5 0.3 0.4 0.9 0.1",
        "cat 0.5 0.5 0.2 0.4",
        "0.5 0.5 0.5 0.2 0.4",
        "1e30 0.5 0.5 0.2 0.4",
        "nan 0.5 0.5 0.2 0.4",
        "0,0.5,0.5,0.2,0.4",
        "0",
    ],
)
def test_a_line_that_is_no_label_is_named_and_the_others_stay(line):
    lines = parse(f"0 0.5 0.5 0.2 0.4\n\n{line}\n1 0.5 0.5 0.2 0.4\n")
    assert lines.raw.classes.tolist() == [0, 1]
    assert lines.raw.marks == ("line 1", "line 4")
    [note] = lines.notes
    assert note.dropped
    assert note.reason == f"line 3: not a label: {line!r}"


def test_key_points_after_a_box_are_left_aside():
    line = "0 0.5 0.5 0.2 0.4 " + "0.1 0.2 2 " * 17
    lines = parse(line, pose=51)
    np.testing.assert_allclose(lines.raw.boxes, [[0.4, 0.3, 0.6, 0.7]])
    assert lines.polygons == 0


def test_an_empty_file_has_no_objects():
    lines = parse("\n  \n")
    assert lines.raw.boxes.shape == (0, 4)
    assert lines.notes == ()
