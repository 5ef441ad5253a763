import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.tasks import Keypoints
from pipeline.source.formats.yolo.label_layout import infer_label_layout
from pipeline.source.formats.yolo.label_lines import (
    LabelLayout,
    build_label_objects,
    parse_label_lines,
)

TURNED = "0 0.3 0.2 0.5 0.4 0.4 0.5 0.2 0.3"


def found(text, **stated):
    lines = parse_label_lines(text)
    return build_label_objects(lines, infer_label_layout([lines], **stated))


@pytest.mark.parametrize(
    ("line", "cls", "box", "outlined"),
    [
        ("1 0.5 0.5 0.2 0.4", 1, [0.4, 0.3, 0.6, 0.7], False),
        ("2.0 .5 .5 .2 .4", 2, [0.4, 0.3, 0.6, 0.7], False),
        ("0 0.1 0.2 0.5 0.3 0.4 0.9", 0, [0.1, 0.2, 0.5, 0.9], True),
        ("0 0.1 0.1 0.3 0.1 0.3 0.2 0.1 0.2", 0, [0.1, 0.1, 0.3, 0.2], True),
        ("-1 0.5 0.5 0.2 0.4", -1, [0.4, 0.3, 0.6, 0.7], False),
    ],
)
def test_boxes_and_outlines_are_parsed(line, cls, box, outlined):
    raw, notes = found(line)
    assert raw.classes.tolist() == [cls]
    np.testing.assert_allclose(raw.boxes, [box])
    assert notes == ()
    assert bool(raw.outlines) == outlined


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.5 0.2",
        "0 0.5 0.5 0.2 0.4 0.9",
        "0 0.1 0.2 0.5 0.3 0.4 0.9 0.1",
        "cat 0.5 0.5 0.2 0.4",
        "0.5 0.5 0.5 0.2 0.4",
        "1e+30 0.5 0.5 0.2 0.4",
        "nan 0.5 0.5 0.2 0.4",
        "0,0.5,0.5,0.2,0.4",
        "0",
    ],
)
def test_invalid_line_becomes_a_note_and_others_are_parsed(line):
    raw, [note] = found(f"0 0.5 0.5 0.2 0.4\n\n{line}\n1 0.5 0.5 0.2 0.4\n")
    assert raw.classes.tolist() == [0, 1]
    assert raw.marks == ("line 1", "line 4")
    assert note == (True, f"line 3: not a label: {line!r}", "malformed")


def test_layout_is_inferred_from_all_files():
    files = [parse_label_lines(TURNED), parse_label_lines(f"{TURNED}\n{TURNED}"), parse_label_lines("")]
    assert infer_label_layout(files).form == "obb"
    assert (
        infer_label_layout([*files, parse_label_lines("0 0.3 0.2 0.5 0.4 0.9 0.9 0.2 0.3")]).form
        == "outlines"
    )
    assert infer_label_layout([*files, parse_label_lines("0 0.5 0.5 0.2 0.4")]).form == "outlines"
    assert infer_label_layout([*files * 10, parse_label_lines("0 0.5 0.5 0.2 0.4")]).form == "obb"
    assert (
        infer_label_layout([*files * 10, parse_label_lines("0 0.5 0.5 0.2 0.4 0.1 0.1")]).form == "outlines"
    )
    assert infer_label_layout([parse_label_lines("")]) == infer_label_layout([]) == LabelLayout("outlines")


def test_rectangle_in_a_non_square_image_is_recognized():
    corners = np.array([[10, 10], [40, 30], [20, 60], [-10, 40]]) + 50
    shares = (corners / [400, 200]).ravel()
    assert (
        infer_label_layout([parse_label_lines("0 " + " ".join(f"{value:.6f}" for value in shares))]).form
        == "obb"
    )


def test_kpt_shape_that_fits_no_line_is_remarked():
    points = Keypoints(("a", "b"), (0, 1))
    form = infer_label_layout([parse_label_lines("0 0.5 0.5 0.2 0.4")], keypoints=points)
    assert (form.form, form.keypoints) == ("outlines", None)
    assert form.remarks == ("no line fits the kpt_shape of data.yaml: read as boxes and outlines",)


def test_pose_with_another_number_of_points_is_invalid():
    points = Keypoints(("a", "b"), (0, 1))
    raw, [note] = found("0 .5 .5 .2 .4 .5 .5 2 .6 .6 1\n0 .5 .5 .2 .4 .5 .5 2\n", keypoints=points)
    assert raw.marks == ("line 1",)
    np.testing.assert_allclose(raw.keypoints[0], [[0.5, 0.5, 2], [0.6, 0.6, 1]])
    assert note.reason.startswith("line 2: not a label")


TOKENS = st.one_of(
    st.floats().map(str), st.integers(-3, 100).map(str), st.sampled_from(["", "x", "1e999", "-0", "0x1", "٣"])
)
LINES = st.lists(st.lists(TOKENS, max_size=14).map(" ".join), max_size=6).map("\n".join)


@given(st.lists(LINES | st.text(max_size=60), max_size=4), st.booleans(), st.sampled_from([None, 2, 3]))
def test_every_line_of_any_text_becomes_an_object_or_a_note(texts, oriented, dims):
    points = Keypoints(("a", "b"), (1, 0), dims) if dims else None
    files = [parse_label_lines(text) for text in texts]
    form = infer_label_layout(files, keypoints=points, oriented=oriented)
    for text, lines in zip(texts, files, strict=True):
        raw, notes = build_label_objects(lines, form)
        filled = sum(bool(line.split()) for line in text.splitlines())
        assert len(raw.marks) + len(notes) == filled
        assert raw.boxes.shape == (len(raw.marks), 4)
        assert len(raw.outlines) in {0, len(raw.marks)}
        assert len(raw.keypoints) in {0, len(raw.marks)}
        for parts in raw.outlines:
            assert all(part.shape[0] >= 3 and part.shape[1] == 2 for part in parts)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 80), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=9)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_outlines_are_parsed_as_they_were_written(items):
    text = "\n".join(f"{cls} " + " ".join(f"{x!r} {y!r}" for x, y in ring) for cls, ring in items)
    lines = parse_label_lines(text)
    raw, notes = build_label_objects(lines, LabelLayout("outlines"))
    assert notes == ()
    assert raw.classes.tolist() == [cls for cls, _ in items]
    for (part,), (_, ring) in zip(raw.outlines, items, strict=True):
        np.testing.assert_array_equal(part, ring)


numbers = st.one_of(st.floats(-1, 2), st.sampled_from([0.0, -0.0, float("nan"), float("inf"), 1e308, -1e308]))


@given(
    st.sampled_from([4, 6, 8]), st.lists(st.lists(numbers, min_size=8, max_size=10), min_size=1, max_size=4)
)
def test_vectorized_path_equals_the_general_path(values, rows):
    """A file of one kind of lines is parsed by a faster path than a mixed file."""
    rows = [row[: 10 if values == 8 and number % 2 else values] for number, row in enumerate(rows)]
    text = "".join(f"{number % 3} {' '.join(map(repr, row))}\n" for number, row in enumerate(rows))
    other = "1 0.5 0.5 0.2 0.2\n" if values > 4 else "1 0.5 0.5 0.2 0.2 0.1 0.3\n"
    alone, _ = build_label_objects(parse_label_lines(text), LabelLayout("outlines"))
    among, _ = build_label_objects(parse_label_lines(text + other), LabelLayout("outlines"))
    assert alone.boxes.tobytes() == among.boxes[:-1].tobytes()
    assert alone.classes.tolist() == among.classes[:-1].tolist()
    assert alone.marks == among.marks[:-1]
    outlines = [[part.tolist() for part in parts] for parts in alone.outlines]
    assert repr(outlines) == repr(
        [[p.tolist() for p in parts] for parts in among.outlines[:-1]] * (values > 4)
    )
