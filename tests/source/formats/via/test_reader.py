"""VIA reader: known answers for versions 1 to 3, projects and exports, JSON and CSV."""

import csv
import json

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.via.reader import matches_folder, read_folder
from tests.readings import check_corrupted_source, corrupted_bytes, corrupted_json, get_boxes, get_notes
from tests.sources import write_picture

RECT = {"name": "rect", "x": 10, "y": 20, "width": 40, "height": 40}
POLYGON = {"name": "polygon", "all_points_x": [10, 50, 50], "all_points_y": [20, 20, 60]}


def region(shape, **attributes):
    return {"shape_attributes": shape, "region_attributes": attributes}


def listed(name, regions, **attributes):
    return {
        f"{name}1234": {"filename": name, "size": 1234, "regions": regions, "file_attributes": attributes}
    }


def write(folder, document, pictures=("x.jpg",)):
    for name in pictures:
        write_picture(folder / name)
    (folder / "via.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("shape", "task", "box"),
    [
        (RECT, "detect", (10, 20, 50, 60)),
        (POLYGON, "segment", (10, 20, 50, 60)),
        ({"name": "circle", "cx": 30, "cy": 40, "r": 20}, "segment", (10, 20, 50, 60)),
        ({"name": "ellipse", "cx": 30, "cy": 40, "rx": 20, "ry": 10}, "segment", (10, 30, 50, 50)),
        (
            {"name": "ellipse", "cx": 30, "cy": 40, "rx": 20, "ry": 10, "theta": 1.5707963},
            "segment",
            (20, 20, 40, 60),
        ),
    ],
)
@pytest.mark.parametrize("version", [1, 2, "project"])
def test_shape_is_read_with_its_box_and_task_in_every_version(tmp_path, shape, task, box, version):
    regions = [region(shape, type="cat")]
    document = listed("x.jpg", {"0": regions[0]} if version == 1 else regions)
    if version == "project":
        document = {"_via_settings": {}, "_via_img_metadata": document, "_via_attributes": {}}
    source = read_folder(write(tmp_path, document))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", *box)]}
    assert source.task == task
    assert source.remarks == ("classes are taken from the region attribute 'type'",)


@pytest.mark.parametrize(
    ("attributes", "label"),
    [
        ({"class": "cat", "quality": "good"}, "cat"),
        ({"quality": "good", "Name": "cat"}, "cat"),
        ({"animal": "cat"}, "cat"),
        ({"animal": {"cat": True, "dog": False}}, "cat"),
        ({"number": 3}, "3"),
        ({}, "object"),
    ],
)
def test_class_attribute_is_chosen_with_a_remark(tmp_path, attributes, label):
    source = read_folder(write(tmp_path, listed("x.jpg", [region(RECT, **attributes)])))
    assert source.names == (label,)
    assert len(source.remarks) == 1


def test_attribute_of_few_regions_is_not_the_class(tmp_path):
    regions = [region(RECT, animal="cat"), region(RECT, animal="dog"), region(RECT, animal="dog", type="odd")]
    assert read_folder(write(tmp_path, listed("x.jpg", regions))).names == ("cat", "dog")


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        (region({"name": "point", "cx": 1, "cy": 2}, type="cat"), "point is no shape with an area"),
        (region({"name": "polyline", "all_points_x": [1]}, type="cat"), "polyline is no shape with an area"),
        (region({}, type="cat"), "no shape"),
        (region({**RECT, "x": None}, type="cat"), "'None' is no number that a coordinate can be"),
        (region({**POLYGON, "all_points_y": [1]}, type="cat"), "a polygon without as many y as x"),
        (region({"name": "circle", "cx": 1, "cy": 2, "r": 0}, type="cat"), "no area: radii of 0 and 0"),
        (region(RECT), "no class: its attribute 'type' is empty"),
        (region(RECT, type={"cat": True, "dog": True}), "no class: its attribute 'type' is empty"),
        ("nonsense", "no class: its attribute 'type' is empty"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, drawn, reason):
    source = read_folder(write(tmp_path, listed("x.jpg", [region(RECT, type="cat"), drawn])))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert get_notes(source) == {"x": [(True, f"region 2: {reason}")]}


def test_file_attributes_are_image_classes_without_regions(tmp_path):
    document = listed("x.jpg", [], label="cat") | listed("y.jpg", [], label="")
    source = read_folder(write(tmp_path, document, ("x.jpg", "y.jpg")))
    assert (source.task, source.names) == ("classify", ("cat",))
    assert [image.fault for image in source.images] == ["", "no class is given for it"]


def test_image_without_regions_among_others_has_no_objects(tmp_path):
    document = (
        listed("x.jpg", [region(RECT, type="cat")])
        | listed("y.jpg", [])
        | listed("https://w.org/a/z.jpg", [])
    )
    source = read_folder(write(tmp_path, document, ("x.jpg", "y.jpg", "bare.jpg")))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)], "y": []}
    assert [defect.file for defect in source.defects] == ["https://w.org/a/z.jpg", "bare.jpg"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("https://w.org/far/a%20caf%C3%A9.jpg?size=640#top", "a café.jpg"),
        ("https://w.org/v0/o/near%2Fx.jpg?alt=media", "near/x.jpg"),
        ("file:///home/me/set/x.jpg", "x.jpg"),
        ("a%20b.jpg", "a b.jpg"),
        ("50%25.jpg", "50%25.jpg"),  # so called
        ("50%.jpg", "50%.jpg"),
        ("a#1?.jpg", "a#1?.jpg"),
        ("http://[w.org/x.jpg", "x.jpg"),
    ],
)
def test_url_is_decoded_to_an_image_name(tmp_path, name, file):
    (tmp_path / "near").mkdir()
    others = ("50%.jpg", "y.jpg") if file == "50%25.jpg" else ("y.jpg",)
    document = listed(name, [region(RECT, type="cat")])
    source = read_folder(write(tmp_path, document, (file, *others)))
    assert [image.path for image in source.images if len(image.raw.classes)] == [tmp_path / file]


HEADER = [
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
]


def table(folder, rows, header=HEADER):
    for name in ("x.jpg", "y.jpg"):
        write_picture(folder / name)
    with (folder / "via.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder


@pytest.mark.parametrize("header", [HEADER, ["#filename", *HEADER[1:]]])
def test_exported_table_is_read(tmp_path, header):
    rows = [
        ["x.jpg", "9", "{}", "2", "0", json.dumps(RECT), '{"type":"cat"}'],
        ["x.jpg", "9", "{}", "2", "1", json.dumps(POLYGON), '{"type":"dog"}'],
        ["x.jpg", "9", "{}", "3", "2", "{cut", '{"type":"dog"}'],
        ["x.jpg", "9", "{}", "4", "3", json.dumps(RECT), '{"type":"\\ud800"}'],
        ["y.jpg", "9", "{}", "0", "0", "{}", "{}"],
    ]
    source = read_folder(table(tmp_path, rows, header))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {
        "x": [("cat", 10, 20, 50, 60), ("dog", 10, 20, 50, 60), ("?", 10, 20, 50, 60)],
        "y": [],
    }
    assert get_notes(source) == {"x": [(True, "region 3: no shape")]}


def third(drawn=(), **images):
    """Return a project of version 3: coordinates with answers on x.jpg; further images, and their answers."""
    files = ["x.jpg", *(f"{name}.jpg" for name in images)]
    rows = [{"vid": "1", "flg": 0, "z": [], "xy": xy, "av": {"1": answer}} for xy, answer in drawn]
    rows += [
        {"vid": str(number), "flg": 0, "z": [], "xy": [], "av": {"1": answer}}
        for number, answer in enumerate(images.values(), 2)
        if answer
    ]
    return {
        "project": {"data_format_version": "3.1.1", "vid_list": ["1"]},
        "attribute": {"1": {"aname": "kind", "options": {"0": "cat", "1": "dog"}}},
        "file": {str(n): {"fid": n, "fname": name, "type": 2} for n, name in enumerate(files, 1)},
        "view": {str(n): {"fid_list": [n]} for n in range(1, len(files) + 1)},
        "metadata": {f"m{n}": row for n, row in enumerate(rows)},
    }


def test_version_3_project_is_read(tmp_path):
    drawn = [
        ([2, 10, 20, 40, 40], "0"),
        ([7, 10, 20, 50, 20, 50, 60], "1"),
        ([3, 30, 40, 20], "1"),
        ([4, 30, 40, 20, 10], "1"),
        ([1, 5, 5], "0"),
        ([8, 1, 2, 3, 4, 5, 6, 7, 8], "0"),
        ([99], "0"),
    ]
    source = read_folder(write(tmp_path, third(drawn, bare=""), pictures=("x.jpg", "bare.jpg")))
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {
        "x": [
            ("cat", 10, 20, 50, 60),
            ("dog", 10, 20, 50, 60),
            ("dog", 10, 20, 50, 60),
            ("dog", 10, 30, 50, 50),
        ],
        "bare": [],
    }
    assert [reason for _, reason in get_notes(source)["x"]] == [
        "region 5: point of 2 numbers is no shape with an area",
        "region 6: rect of 8 numbers is no shape with an area",
        "region 7: no shape",
    ]


def test_version_3_project_may_hold_image_classes(tmp_path):
    source = read_folder(write(tmp_path, third(y="0", z="1"), pictures=("y.jpg", "z.jpg")))
    assert source.task == "classify"
    assert [source.names[image.raw.classes[0]] for image in source.images] == ["cat", "dog"]
    assert [defect.reason for defect in source.defects] == ["listed in via.json, but there is no such image"]


@pytest.mark.parametrize("text", ["{", "[]", '{"names": 1}', "\0"])
def test_folder_without_annotations_is_refused(tmp_path, text):
    (tmp_path / "via.json").write_text(text)
    with pytest.raises(UserError):
        read_folder(tmp_path)


FUZZED = {
    "_via_img_metadata": listed(
        "x.jpg",
        [
            region(RECT, type="cat"),
            region(POLYGON, type={"dog": True}),
            region({"name": "circle", "cx": 9, "cy": 9, "r": 2}),
        ],
    )
}


@given(data=corrupted_json(FUZZED) | corrupted_json(third([([2, 10, 20, 40, 40], "0")], y="1")))
@settings(max_examples=200, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_via"
    write_picture(folder / "x.jpg")
    (folder / "via.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)


TABLE = (
    ",".join(HEADER) + '\nx.jpg,9,{},1,0,"' + json.dumps(RECT).replace('"', '""') + '","{""type"":""cat""}"\n'
).encode()


@given(data=corrupted_bytes(TABLE))
@settings(max_examples=80, deadline=None)
def test_corrupted_table_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_via_table"
    write_picture(folder / "x.jpg")
    (folder / "via.csv").write_bytes(data)
    check_corrupted_source(read_folder, folder)
