"""Label Studio reader: known answers for both exports, rotation, brush strokes, keypoints, choices."""

import base64
import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.formats.labelstudio.brush import decode_brush
from pipeline.source.formats.labelstudio.reader import matches_folder, read_folder
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_json, get_boxes, get_notes, get_outlines
from tests.sources import write_picture

RECTANGLE = {"x": 10, "y": 25, "width": 40, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}
"""On 96 x 80 pixels: 9.6, 20 to 48, 60."""


def result(value, **more):
    return {
        "id": "r1",
        "original_width": 96,
        "original_height": 80,
        "image_rotation": 0,
        "value": value,
        **more,
    }


def task(results, image="/data/upload/1/0a1b2c3d-x.jpg", **annotation):
    return {"id": 5, "data": {"image": image}, "annotations": [{"id": 1, "result": results, **annotation}]}


def write(folder, tasks, pictures=("x.jpg",)):
    for name in pictures:
        write_picture(folder / name)
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder


@pytest.mark.parametrize(
    ("value", "kind", "box"),
    [
        (RECTANGLE, "detect", (9.6, 20, 48, 60)),
        ({"points": [[10, 25], [50, 25], [50, 75]], "polygonlabels": ["cat"]}, "segment", (9.6, 20, 48, 60)),
        (
            {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "ellipselabels": ["cat"]},
            "segment",
            (24, 20, 72, 60),
        ),
        ({"choices": ["cat"]}, "classify", (0, 0, 1, 1)),
    ],
)
def test_region_is_read_with_its_box_and_task(tmp_path, value, kind, box):
    source = read_folder(write(tmp_path, [task([result(value)])]))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", *box)]}
    assert (source.task, source.images[0].size, source.defects) == (kind, (96, 80), ())


@pytest.mark.parametrize(
    ("row", "kind", "box"),
    [
        (
            {"label": [{**RECTANGLE, "original_width": 96, "original_height": 80}]},
            "detect",
            (9.6, 20, 48, 60),
        ),
        ({"choice": "cat"}, "classify", (0, 0, 1, 1)),
        ({"choice": {"choices": ["cat"]}}, "classify", (0, 0, 1, 1)),
    ],
)
def test_json_min_export_is_read(tmp_path, row, kind, box):
    source = read_folder(
        write(tmp_path, [{"image": "/data/upload/1/x.jpg", "id": 1, "annotation_id": 3, **row}])
    )
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", *box)]}
    assert source.task == kind


def test_rotation_turns_a_box_clockwise_around_its_top_left_corner(tmp_path):
    source = read_folder(write(tmp_path, [task([result({**RECTANGLE, "x": 50, "rotation": 90})])]))
    assert source.task == "obb"
    assert get_outlines(source) == {"x": [[[[48, 20], [48, 58.4], [8, 58.4], [8, 20]]]]}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/0a1b2c3d-x.jpg", "x.jpg"),
        ("/data/upload/3/0a1b2c3d-x.jpg", "0a1b2c3d-x.jpg"),
        ("/data/local-files/?d=pets/x.jpg", "pets/x.jpg"),
        ("/data/local-files/?d=pets%5Cx%20y.jpg", "pets/x y.jpg"),
        ("s3://bucket/pets/x.jpg", "pets/x.jpg"),
        ("https://w.org/a/%E7%85%A7.jpg?sig=1", "照.jpg"),
        ("C:\\pets\\x.jpg", "pets/x.jpg"),
    ],
)
def test_image_is_found_by_url_and_upload_name(tmp_path, address, name):
    source = read_folder(write(tmp_path, [task([result(RECTANGLE)], address)], [name]))
    assert [image.source for image in source.images] == [name]


@pytest.mark.parametrize(
    ("drawn_on", "read"),
    [
        (["right"], ["b.jpg"]),
        (["left", "right"], []),
        (["img"], []),
        ([], []),
    ],
)
def test_labels_of_a_task_with_two_images_go_to_the_one_they_are_about(tmp_path, drawn_on, read):
    results = [result(RECTANGLE, id=name, to_name=name) for name in drawn_on] or [result(RECTANGLE)]
    two = task(results)
    two["data"] = {"left": "/data/upload/1/a.jpg", "right": "/data/upload/1/b.jpg", "text": "x"}
    one = task([result(RECTANGLE, to_name="img")], "/data/upload/1/c.jpg")
    source = read_folder(write(tmp_path, [two, one], ["a.jpg", "b.jpg", "c.jpg"]))
    assert [image.source for image in source.images if not image.fault] == [*read, "c.jpg"]


def packed(mask):
    """Pack a mask as Label Studio does, after the description of rle-pack, not after the reader."""
    values = np.repeat(mask.ravel() * 255, 4)
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{width:04b}" for width in (2, 3, 7, 15))
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    for start, end in pairwise(edges):
        for at in range(start, end, 65536):
            length = min(end, at + 65536) - at - 1
            which = next(i for i, width in enumerate((3, 4, 8, 16)) if length < 1 << width)
            bits += f"1{which:02b}{length:0{(3, 4, 8, 16)[which]}b}{values[at]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


@given(seed=st.integers(0, 10**6), width=st.integers(1, 40), height=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_brush_stroke_is_decoded_as_it_was_encoded(seed, width, height):
    mask = (np.random.default_rng(seed).random((height, width)) > 0.7).astype(np.uint8)
    assert (decode_brush(packed(mask), width, height) == mask).all()


def test_brush_runs_of_different_values_are_decoded():
    bits = (
        f"{8:032b}"
        + f"{7:05b}"
        + "0010" * 4
        + "0"
        + "00"
        + "111"
        + "".join(f"{v:08b}" for v in (0, 0, 0, 9, 0, 0, 0, 0))
    )
    bits += "0" * (-len(bits) % 8)
    assert decode_brush([int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)], 2, 1).tolist() == [
        [1, 0]
    ]


def test_brush_stroke_is_outlined(tmp_path):
    mask = np.zeros((80, 96), np.uint8)
    mask[20:60, 10:50] = 1
    value = {"format": "rle", "rle": packed(mask), "brushlabels": ["cat"]}
    source = read_folder(write(tmp_path, [task([result(value)])]))
    assert (get_boxes(source), source.task) == ({"x": [("cat", 10, 20, 50, 60)]}, "segment")


def encode_bitmask(mask, mode="RGBA"):
    """Return black pixels on a transparent background as a data URL, as Label Studio writes them."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[:, :, 3] = mask * 255
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_bitmask_is_outlined(tmp_path):
    mask = np.zeros((80, 96), np.uint8)
    mask[20:60, 10:50] = 1
    value = {"imageDataURL": encode_bitmask(mask), "bitmasklabels": ["cat"]}
    source = read_folder(write(tmp_path, [task([result(value)])]))
    assert (get_boxes(source), source.task) == ({"x": [("cat", 10, 20, 50, 60)]}, "segment")


@pytest.mark.parametrize(
    "url",
    [
        encode_bitmask(np.ones((80, 96), np.uint8), "RGB"),
        encode_bitmask(np.ones((40, 48), np.uint8)),
        encode_bitmask(np.zeros((80, 96), np.uint8)),
        "data:image/png;base64,iVBORw0KGgo=",
        "https://example.org/mask.png",
        7,
    ],
)
def test_bitmask_that_is_unusable_becomes_a_note(tmp_path, url):
    drawn = result({"imageDataURL": url, "bitmasklabels": ["dog"]}, id="r2")
    source = read_folder(write(tmp_path, [task([result(RECTANGLE), drawn])]))
    assert get_boxes(source) == {"x": [("cat", 9.6, 20, 48, 60)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def build_vector(points, closed=True, **last):
    vertices = [
        {"id": str(i), "x": x, "y": y, "prevPointId": str(i - 1) if i else None, "isBezier": False}
        for i, (x, y) in enumerate(points)
    ]
    vertices[-1] |= last
    return {"vertices": vertices, "closed": closed, "vectorlabels": ["cat"]}


def test_closed_vector_is_an_outline(tmp_path):
    value = build_vector([(10, 25), (50, 25), (50, 75)])
    source = read_folder(write(tmp_path, [task([result(value)])]))
    assert source.task == "segment"
    assert get_outlines(source) == {"x": [[[[9.6, 20], [48, 20], [48, 60]]]]}
    assert get_notes(source) == {}


def test_curves_of_a_vector_are_read_as_straight_lines_and_told(tmp_path):
    value = build_vector([(10, 25), (50, 25), (50, 75)], isBezier=True, controlPoint1={"x": 9, "y": 9})
    source = read_folder(write(tmp_path, [task([result(value)])]))
    assert get_outlines(source) == {"x": [[[[9.6, 20], [48, 20], [48, 60]]]]}
    assert [note.dropped for note in source.images[0].notes] == [False]


@pytest.mark.parametrize(
    "value",
    [
        build_vector([(10, 25), (50, 25), (50, 75)], closed=False),
        build_vector([(10, 25), (50, 25), (50, 75)], prevPointId="0"),
        {"vertices": 5, "closed": True, "vectorlabels": ["cat"]},
        {"vertices": [[1, 2], [3, 4], [5, 6]], "closed": True, "vectorlabels": ["cat"]},
        {"start": 1, "end": 2, "labels": ["cat"]},
    ],
)
def test_labelled_region_that_is_not_read_becomes_a_note(tmp_path, value):
    source = read_folder(write(tmp_path, [task([result(RECTANGLE), result(value, id="r2")])]))
    assert get_boxes(source) == {"x": [("cat", 9.6, 20, 48, 60)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


@pytest.mark.parametrize("drawn", [[], [result(RECTANGLE, to_name="image")]])
@pytest.mark.parametrize(
    "value",
    [
        {"start": 1, "end": 4, "text": "cat", "labels": ["animal"]},
        {"start": 0.5, "end": 2.5, "channel": 0, "labels": ["speech"]},
        {"start": "/p[1]", "end": "/p[1]", "hypertextlabels": ["animal"]},
    ],
)
def test_region_of_a_text_or_an_audio_file_of_the_task_is_no_lost_object(tmp_path, value, drawn):
    span = {"id": "s1", "to_name": "text", "type": "labels", "value": value}
    tasks = [task([*drawn, span]), task([result(RECTANGLE)], "y.jpg")]
    source = read_folder(write(tmp_path, tasks, ("x.jpg", "y.jpg")))
    assert len(get_boxes(source)["x"]) == len(drawn)
    assert get_notes(source) == {}


def test_region_of_the_image_without_its_size_becomes_a_note(tmp_path):
    other = {"id": "r2", "to_name": "image", "value": {"start": 1, "labels": ["cat"]}}
    source = read_folder(write(tmp_path, [task([result(RECTANGLE, to_name="image"), other])]))
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_second_point_of_one_name_becomes_a_note(tmp_path):
    def point(x, key):
        return result({"x": x, "y": 50, "keypointlabels": ["ear"]}, id=key, parentID="r1")

    source = read_folder(write(tmp_path, [task([result(RECTANGLE), point(20, "r2"), point(30, "r3")])]))
    assert np.allclose(source.images[0].raw.keypoints[0], [[19.2, 40, 2]])
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_keypoints_of_a_rectangle_are_a_pose(tmp_path):
    def point(x, label):
        return result({"x": x, "y": 50, "width": 1, "keypointlabels": [label]}, id=label, parentID="r1")

    source = read_folder(
        write(tmp_path, [task([point(20, "left ear"), result(RECTANGLE), point(30, "right ear")])])
    )
    assert (source.task, source.keypoints.names, source.keypoints.flip) == (
        "pose",
        ("left ear", "right ear"),
        (1, 0),
    )
    assert np.allclose(source.images[0].raw.keypoints[0], [[19.2, 40, 2], [28.8, 40, 2]])
    assert get_boxes(source) == {"x": [("cat", 9.6, 20, 48, 60)]}


def test_separate_shape_and_label_are_merged(tmp_path):
    bare = {key: value for key, value in RECTANGLE.items() if key != "rectanglelabels"}
    results = [result(bare, type="rectangle"), result({**bare, "labels": ["cat"]}, type="labels")]
    assert get_boxes(read_folder(write(tmp_path, [task(results)]))) == {"x": [("cat", 9.6, 20, 48, 60)]}


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        (result({**RECTANGLE, "rectanglelabels": []}, id="r2"), "region r2: no class"),
        (
            result({**RECTANGLE, "x": None}, id="r2"),
            "region r2: 'None' is no number that a coordinate can be",
        ),
        ({"id": "r2", "value": RECTANGLE}, "region r2: 'None' is no number that a coordinate can be"),
        (result({"points": [[1, 2]], "polygonlabels": ["cat"]}, id="r2"), "region r2: an outline of 1 point"),
        (
            result({"points": 5, "polygonlabels": ["cat"]}, id="r2"),
            "region r2: points that are no pairs of x and y",
        ),
        (
            result({"rle": [1, 2], "brushlabels": ["cat"]}, id="r2"),
            "region r2: a brush stroke that is cut short",
        ),
        (
            result({"rle": [300], "brushlabels": ["cat"]}, id="r2"),
            "region r2: a brush stroke that is no list of bytes",
        ),
        (
            result({"rle": [0] * 40, "brushlabels": ["cat"]}, id="r2"),
            "region r2: a brush stroke of 0 values, not four for each of 96 x 80 pixels",
        ),
        (
            result({"x": 1, "y": 2, "keypointlabels": ["ear"]}, id="r2"),
            "region r2: a point of no other region",
        ),
        ("nonsense", "result 2: no region"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, drawn, reason):
    source = read_folder(write(tmp_path, [task([result(RECTANGLE), drawn])]))
    assert get_boxes(source) == {"x": [("cat", 9.6, 20, 48, 60)]}
    assert get_notes(source) == {"x": [(True, reason)]}


def test_first_of_several_labels_is_the_class(tmp_path):
    source = read_folder(write(tmp_path, [task([result({**RECTANGLE, "rectanglelabels": ["cat", "dog"]})])]))
    assert source.names == ("cat",)
    assert get_notes(source)["x"] == [(False, "region r1: cat and dog: the first is its class")]


def test_ground_truth_or_newest_annotation_is_used(tmp_path):
    def several(*annotations: dict):
        return {"data": {"image": "x.jpg"}, "annotations": list(annotations)}

    def one(label, **more):
        return {"result": [result({**RECTANGLE, "rectanglelabels": [label]})], **more}

    old, new = one("old", updated_at="2024-01-01"), one("new", updated_at="2025-01-01")
    true, void = one("true", ground_truth=True), one("void", was_cancelled=True, updated_at="2026")
    for annotations, label in (((new, old), "new"), ((true, new), "true"), ((old, void), "old")):
        source = read_folder(write(tmp_path, [several(*annotations)]))
        assert source.names == (label,)
        assert bool(get_notes(source)) == (void not in annotations)


def test_unannotated_task_is_a_fault(tmp_path):
    tasks = [
        task([result(RECTANGLE)]),
        task([], "y.jpg"),
        {"data": {"image": "z.jpg"}, "annotations": []},
        task([], "w.jpg", was_cancelled=True),
        {"data": {"text": "no image"}, "annotations": [], "id": 9},
    ]
    source = read_folder(write(tmp_path, tasks, ["x.jpg", "y.jpg", "z.jpg", "w.jpg", "bare.jpg"]))
    assert {i.path.stem: i.fault for i in source.images} == {
        "x": "",
        "y": "",
        "z": "nobody has annotated it",
        "w": "nobody has annotated it",
    }
    assert [(d.file, d.reason) for d in source.defects] == [
        ("export.json, task 9", "nobody has annotated it"),
        ("bare.jpg", "not listed in any annotation file"),
    ]


def test_image_imported_twice_and_annotated_once_is_used(tmp_path):
    tasks = [{"data": {"image": "x.jpg"}, "annotations": []}, task([result(RECTANGLE)])]
    source = read_folder(write(tmp_path, tasks))
    assert get_boxes(source) == {"x": [("cat", 9.6, 20, 48, 60)]}
    assert source.images[0].fault == ""
    assert get_notes(source)["x"] == [(False, "listed twice, once of no use: nobody has annotated it")]


def test_rotated_image_is_a_fault(tmp_path):
    source = read_folder(write(tmp_path, [task([result(RECTANGLE, image_rotation=90)])]))
    assert source.images[0].fault == "annotated on the image turned by 90 degrees: turn it back first"


@pytest.mark.parametrize("text", ["{", "[]", '{"names": 1}', "[[1]]"])
def test_folder_without_annotations_is_refused(tmp_path, text):
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(UserError):
        read_folder(tmp_path)


FUZZED = [
    task(
        [
            result(RECTANGLE),
            result({"points": [[10, 25], [50, 25], [50, 75]], "polygonlabels": ["dog"]}, id="r2"),
            result({"x": 1, "y": 2, "keypointlabels": ["ear"]}, id="r3", parentID="r1"),
            result(
                {"rle": packed(np.eye(4, dtype=np.uint8)), "brushlabels": ["cat"]},
                id="r4",
                original_width=4,
                original_height=4,
            ),
            result({"choices": ["cat"]}, id="r5"),
        ]
    ),
    {
        "image": "x.jpg",
        "id": 1,
        "annotation_id": 3,
        "label": [{**RECTANGLE, "original_width": 96, "original_height": 80}],
    },
]


@given(data=corrupted_json(FUZZED))
@settings(max_examples=200, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_labelstudio"
    write_picture(folder / "x.jpg")
    (folder / "export.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)


def test_export_that_nobody_has_annotated_is_refused_with_the_option(tmp_path):
    row = {**task([]), "annotations": [], "predictions": [{"score": 0.8, "result": [result(RECTANGLE)]}]}
    write(tmp_path, [row])
    with pytest.raises(UserError, match=r"nobody has annotated .*data\.predictions=labels"):
        read_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path, ReadOptions(predictions="labels"))) == {
        "x": [("cat", 9.6, 20, 48, 60)]
    }
