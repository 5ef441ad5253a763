"""CreateML JSON with known answers."""

import json

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats import createml
from pipeline.source.formats.registry import read
from tests.readings import boxes, notes, real, sane, spoilt_json
from tests.sources import picture

BOX = {"label": "cat", "coordinates": {"x": 30, "y": 40, "width": 40, "height": 40}}


def write(folder, rows, pictures=("x.jpg",)):
    for name in pictures:
        picture(folder / name)
    (folder / "_annotations.createml.json").write_text(json.dumps(rows))
    return folder


def test_boxes_are_given_by_their_centre(tmp_path):
    rows = [{"image": "x.jpg", "annotations": [BOX]}, {"image": "y.jpg", "annotations": []}]
    source = createml.read(write(tmp_path, rows, ("x.jpg", "y.jpg", "bare.jpg")))
    assert createml.recognises(tmp_path)
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)], "y": []}
    assert [(d.file, d.reason) for d in source.defects] == [("bare.jpg", "not listed in any annotation file")]


def test_supervision_reads_the_same_box(tmp_path):
    from supervision.dataset.formats.createml import createml_annotations_to_detections

    oracle = createml_annotations_to_detections([BOX], {"cat": 0}).xyxy.tolist()
    source = createml.read(write(tmp_path, [{"image": "x.jpg", "annotations": [BOX]}]))
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
def test_what_is_no_object_is_named_and_the_others_stay(tmp_path, item, reason):
    source = createml.read(write(tmp_path, [{"image": "x.jpg", "annotations": [BOX, item]}]))
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert notes(source) == {"x": [(True, f"annotation 2: {reason}")]}


@pytest.mark.parametrize("rows", [{}, [], [{"image": "x.jpg"}], [{"image": "gone.jpg", "annotations": []}]])
def test_no_such_file_is_refused(tmp_path, rows):
    with pytest.raises(UserError):
        createml.read(write(tmp_path, rows))


@pytest.mark.parametrize(
    ("name", "shown"), [("", "an image without a name"), ("a\n\x1b[2J.jpg", "a\\n\\x1b[2J.jpg")]
)
def test_a_name_that_spans_lines_or_is_none_is_told_on_one_line(tmp_path, name, shown):
    rows = [{"image": "x.jpg", "annotations": [BOX]}, {"image": name, "annotations": []}]
    assert [d.file for d in read("createml", write(tmp_path, rows)).defects] == [shown]
    with pytest.raises(UserError) as refused:
        createml.read(write(tmp_path, rows[1:]))
    assert len(str(refused.value).splitlines()) == 1


def test_a_real_export():
    source = createml.read(real("datumaro-assets/roboflow_dataset/createml"))
    assert [image.split for image in source.images] == ["train", "train", "val"]
    assert source.names == ("label_0", "label_1")


@given(data=spoilt_json([{"image": "x.jpg", "annotations": [BOX, BOX]}]))
@settings(max_examples=80, deadline=None)
def test_no_json_makes_it_crash(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_createml"
    picture(folder / "x.jpg")
    (folder / "createml.json").write_bytes(data)
    sane(createml.read, folder)
