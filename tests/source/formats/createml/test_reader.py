"""CreateML reader: known answers."""

import json

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.createml.reader import matches_folder, read_folder
from pipeline.source.recognize_format import read_source
from tests.readings import check_corrupted_source, corrupted_json, find_real_dataset, get_boxes, get_notes
from tests.sources import write_picture

BOX = {"label": "cat", "coordinates": {"x": 30, "y": 40, "width": 40, "height": 40}}


def write(folder, rows, pictures=("x.jpg",)):
    for name in pictures:
        write_picture(folder / name)
    (folder / "_annotations.createml.json").write_text(json.dumps(rows))
    return folder


def test_box_is_given_by_its_center(tmp_path):
    rows = [{"image": "x.jpg", "annotations": [BOX]}, {"image": "y.jpg", "annotations": []}]
    source = read_folder(write(tmp_path, rows, ("x.jpg", "y.jpg", "bare.jpg")))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)], "y": []}
    assert [(d.file, d.reason) for d in source.defects] == [("bare.jpg", "not listed in any annotation file")]


def test_keys_of_older_files_are_read(tmp_path):
    source = read_folder(write(tmp_path, [{"imagefilename": "x.jpg", "annotation": [BOX]}]))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}


def test_box_equals_that_of_supervision(tmp_path):
    from supervision.dataset.formats.createml import createml_annotations_to_detections

    oracle = createml_annotations_to_detections([BOX], {"cat": 0}).xyxy.tolist()
    source = read_folder(write(tmp_path, [{"image": "x.jpg", "annotations": [BOX]}]))
    assert source.images[0].raw.boxes.tolist() == oracle


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({**BOX, "label": ""}, "no class"),
        ({"label": "cat"}, "no coordinates"),
        (
            {**BOX, "coordinates": {"x": 1, "y": 2, "width": 3}},
            "'None' is no number that a coordinate can be",
        ),
        ("nonsense", "no coordinates"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, item, reason):
    source = read_folder(write(tmp_path, [{"image": "x.jpg", "annotations": [BOX, item]}]))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert get_notes(source) == {"x": [(True, f"annotation 2: {reason}")]}


@pytest.mark.parametrize("rows", [{}, [], [{"image": "x.jpg"}], [{"image": "gone.jpg", "annotations": []}]])
def test_folder_without_annotations_is_refused(tmp_path, rows):
    with pytest.raises(UserError):
        read_folder(write(tmp_path, rows))


@pytest.mark.parametrize(
    ("name", "shown"), [("", "an image without a name"), ("a\n\x1b[2J.jpg", "a\\n\\x1b[2J.jpg")]
)
def test_name_with_line_breaks_is_reported_on_one_line(tmp_path, name, shown):
    rows = [{"image": "x.jpg", "annotations": [BOX]}, {"image": name, "annotations": []}]
    assert [d.file for d in read_source("createml", write(tmp_path, rows)).defects] == [shown]
    with pytest.raises(UserError) as refused:
        read_folder(write(tmp_path, rows[1:]))
    assert len(str(refused.value).splitlines()) == 1


def test_real_export_is_read():
    source = read_folder(find_real_dataset("datumaro-assets/roboflow_dataset/createml"))
    assert [image.split for image in source.images] == ["train", "train", "val"]
    assert source.names == ("label_0", "label_1")


@given(data=corrupted_json([{"image": "x.jpg", "annotations": [BOX, BOX]}]))
@settings(max_examples=80, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_createml"
    write_picture(folder / "x.jpg")
    (folder / "createml.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)
