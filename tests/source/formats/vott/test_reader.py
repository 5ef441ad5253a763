"""VoTT reader: known answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.vott.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_json, get_boxes, get_outlines
from tests.sources import SIZE, write_picture

TRIANGLE = [{"x": 10, "y": 20}, {"x": 50, "y": 20}, {"x": 50, "y": 60}]


def region(*tags: Any, kind="RECTANGLE", box=(10, 20, 40, 40), points=None):
    keys = ("left", "top", "width", "height")
    corners = points or [{"x": 10, "y": 20}, {"x": 50, "y": 20}, {"x": 50, "y": 60}, {"x": 10, "y": 60}]
    return {
        "id": "r",
        "type": kind,
        "tags": list(tags),
        "boundingBox": dict(zip(keys, box, strict=True)),
        "points": corners,
    }


def asset(name, *regions: Any, state=2):
    stated = {
        "format": "jpg",
        "id": f"id-{name}",
        "name": name,
        "path": f"file:/home/me/{name}",
        "size": {"width": SIZE[0], "height": SIZE[1]},
        "state": state,
        "type": 1,
    }
    return {"asset": stated, "regions": list(regions), "version": "2.2.0"}


def export(*assets: Any):
    return {
        "name": "p",
        "securityToken": "p Token",
        "videoSettings": {"frameExtractionRate": 15},
        "tags": [{"name": "cat", "color": "#5db300"}],
        "id": "x",
        "assets": {row["asset"]["id"]: row for row in assets},
    }


def write(folder, *assets: Any, single=False):
    folder.mkdir(exist_ok=True)
    for row in assets:
        write_picture(folder / row["asset"]["name"])
        if single:
            (folder / f"{row['asset']['id']}-asset.json").write_text(json.dumps(row))
    if not single:
        (folder / "p-export.json").write_text(json.dumps(export(*assets)))
    return folder


@pytest.mark.parametrize("single", [True, False])
def test_boxes_of_an_export_and_of_asset_files_are_read(tmp_path, single):
    rows = (
        asset("a.jpg", region("cat"), region("dog", box=(1.5, 2, 3, 4))),
        asset("b.jpg", region("cat", kind="SQUARE")),
        asset("c.jpg", state=1),
    )
    found = recognize_source("auto", write(tmp_path, *rows, single=single))
    assert found.form == "vott"
    assert get_boxes(found.source) == {
        "a": [("cat", 10, 20, 50, 60), ("dog", 1.5, 2, 4.5, 6)],
        "b": [("cat", 10, 20, 50, 60)],
        "c": [],
    }
    assert {image.size for image in found.source.images} == {SIZE}
    assert found.source.remarks == (
        "1 image was opened in VoTT, and no region drawn: taken as images without objects",
    )


def test_polygon_is_an_outline(tmp_path):
    source = read_folder(write(tmp_path, asset("a.jpg", region("cat", kind="POLYGON", points=TRIANGLE))))
    assert source.task == "segment"
    assert get_outlines(source) == {"a": [[[[10, 20], [50, 20], [50, 60]]]]}


def test_region_with_two_tags_is_an_object_of_each_class(tmp_path):
    source = read_folder(write(tmp_path, asset("a.jpg", region("cat", "dog"))))
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60), ("dog", 10, 20, 50, 60)]}
    assert source.images[0].raw.marks == ("region 1 (cat)", "region 1 (dog)")


def test_image_never_opened_is_unlabelled(tmp_path):
    found = recognize_source("auto", write(tmp_path, asset("a.jpg", region("cat")), asset("b.jpg", state=0)))
    assert [image.path.stem for image in found.source.images] == ["a"]
    assert [(d.file, d.verdict, d.kind) for d in found.source.defects] == [
        ("b.jpg", "quarantined", "missing-label")
    ]


def test_names_encoded_as_in_a_url_are_matched(tmp_path):
    row = asset("a b.jpg", region("cat"))
    row["asset"] |= {"name": "a%20b.jpg", "path": "file:/home/me/a%20b.jpg"}
    write_picture(tmp_path / "a b.jpg")
    (tmp_path / "p-export.json").write_text(json.dumps(export(row)))
    assert get_boxes(read_folder(tmp_path)) == {"a b": [("cat", 10, 20, 50, 60)]}


def test_asset_files_beside_their_export_are_not_read_twice(tmp_path):
    write(tmp_path, asset("a.jpg", region("cat")), asset("b.jpg", region("cat")))
    write(tmp_path, asset("a.jpg", region("cat"), region("cat")), single=True)
    source = read_folder(tmp_path)
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60)], "b": [("cat", 10, 20, 50, 60)]}
    assert source.remarks == (
        "1 image has other regions in the export than in the files of the project: the export is read",
    )


def test_splits_are_read_from_folders(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, asset(f"{split}1.jpg", region("cat")))
    source = recognize_source("auto", tmp_path).source
    assert {image.path.stem: image.split for image in source.images} == {"train1": "train", "val1": "val"}


@pytest.mark.parametrize(
    "item",
    [
        region(),
        region("cat", kind="POLYLINE"),
        region("cat", kind="POLYGON", points=TRIANGLE[:2]),
        region("cat", box=(1, 2, None, 4)),
        {"type": "RECTANGLE", "tags": ["cat"]},
        "nonsense",
    ],
)
def test_malformed_region_is_a_finding(tmp_path, item):
    source = read_folder(write(tmp_path, asset("a.jpg", region("cat"), item)))
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_json_of_other_formats_is_not_claimed(tmp_path):
    write_picture(tmp_path / "x.jpg")
    row = {"filename": "x.jpg", "size": 1, "regions": [], "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps({"x.jpg1": row}))
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(data=corrupted_json(export(asset("a.jpg", region("cat"), region("cat", kind="POLYGON")))))
@settings(max_examples=60, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_vott", asset("a.jpg"))
    (folder / "p-export.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)
