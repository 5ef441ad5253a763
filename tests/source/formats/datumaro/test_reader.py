"""Datumaro reader: known answers."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.datumaro.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_json, get_boxes, get_outlines
from tests.sources import SIZE, write_picture

RING = [10, 20, 50, 20, 50, 60]
BOX = {"type": "bbox", "bbox": [10, 20, 40, 40]}
MASK = {"type": "mask", "rle": {"counts": [21 * 80 + 40, 2, 78, 2, 73 * 80 + 38], "size": [80, 96]}}


def annotation(content, label=0, **more):
    return {"id": 0, "attributes": {}, "group": 0, "label_id": label, "z_order": 0, **content, **more}


def item(name, *annotations: Any, key="image"):
    media = {"path": f"{name}.jpg", "size": [SIZE[1], SIZE[0]]}
    return {"id": name, "annotations": list(annotations), "attr": {"frame": 0}, key: media}


def document(*items: Any, labels=("cat", "dog")):
    rows = [{"name": name, "parent": "", "attributes": []} for name in labels]
    categories = {"label": {"labels": rows, "attributes": []}, "points": {"items": []}}
    return {"info": {}, "categories": categories, "items": list(items)}


def write(folder, *items: Any, subset="default", **more):
    for row in items:
        write_picture(folder / "images" / subset / f"{row['id']}.jpg")
    path = folder / "annotations" / f"{subset}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(*items, **more)))
    return folder


@pytest.mark.parametrize("key", ["image", "media"])
def test_boxes_are_read(tmp_path, key):
    boxes = annotation(BOX), annotation({"type": "bbox", "bbox": [1.5, 2, 3, 4]}, 1)
    found = recognize_source("auto", write(tmp_path, item("a", *boxes, key=key), item("b", key=key)))
    assert found.form == "datumaro"
    assert get_boxes(found.source) == {
        "a": [("cat", 10, 20, 50, 60), ("dog", 1.5, 2, 4.5, 6)],
        "b": [],
    }
    assert {image.size for image in found.source.images} == {SIZE}
    assert found.source.remarks == ()
    assert found.source.defects == ()


def test_polygons_and_masks_are_outlines(tmp_path):
    drawn = annotation({"type": "polygon", "points": RING}, 1), annotation(MASK)
    source = recognize_source("auto", write(tmp_path, item("a", *drawn))).source
    assert source.task == "segment"
    assert source.names == ("cat", "dog")
    first, second = get_outlines(source)["a"]
    assert first == [[[10, 20], [50, 20], [50, 60]]]
    assert sorted(second[0]) == [[21, 40], [21, 42], [23, 40], [23, 42]]


def test_compressed_mask_equals_the_uncompressed_one(tmp_path):
    mask = pytest.importorskip("faster_coco_eval.core.mask")
    compressed = mask.frPyObjects(MASK["rle"], *MASK["rle"]["size"])
    rle = {"counts": compressed["counts"].decode(), "size": MASK["rle"]["size"]}
    drawn = annotation(MASK), annotation({"type": "mask", "rle": rle})
    first, second = get_outlines(read_folder(write(tmp_path, item("a", *drawn))))["a"]
    assert first == second


def test_parts_of_one_group_are_one_object(tmp_path):
    other = [60, 20, 80, 20, 80, 60]
    drawn = (
        annotation({"type": "polygon", "points": RING}, group=3),
        annotation({"type": "polygon", "points": other}, group=3),
        annotation({"type": "bbox", "bbox": [9, 19, 72, 42]}, group=3),
        annotation({"type": "polygon", "points": RING}, 1, group=3),
        annotation({"type": "polygon", "points": RING}),
        annotation({"type": "polygon", "points": RING}),
    )
    source = read_folder(write(tmp_path, item("a", *drawn)))
    assert [len(parts) for parts in get_outlines(source)["a"]] == [2, 1, 1, 1]
    assert get_boxes(source)["a"][0] == ("cat", 9, 19, 81, 61)
    assert source.remarks == ("2 shapes joined with others of the same group and class: parts of one object",)


def test_grouped_boxes_stay_objects(tmp_path):
    drawn = annotation(BOX, group=1), annotation({"type": "bbox", "bbox": [1, 2, 3, 4]}, group=1)
    assert len(get_boxes(read_folder(write(tmp_path, item("a", *drawn))))["a"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"type": "bbox", "bbox": [10, 20, 40, 20], "attributes": {"rotation": 90.0}},
        {"type": "rotated_bbox", "rbbox": [30, 30, 40, 20, 90]},
    ],
)
def test_rotated_boxes_are_read(tmp_path, content):
    source = read_folder(write(tmp_path, item("a", annotation(content))))
    assert source.task == "obb"
    assert get_boxes(source) == {"a": [("cat", 20, 10, 40, 50)]}


def test_labels_of_images_are_classes(tmp_path):
    rows = item("a", annotation({"type": "label"}, 1)), item("b", annotation({"type": "label"}, 0))
    source = recognize_source("auto", write(tmp_path, *rows)).source
    assert source.task == "classify"
    assert source.names == ("cat", "dog")
    assert [image.raw.classes.tolist() for image in source.images] == [[1], [0]]


def test_subsets_are_splits(tmp_path):
    for subset in ("train", "val"):
        write(tmp_path, item(f"{subset}1", annotation(BOX)), subset=subset)
    source = recognize_source("auto", tmp_path).source
    assert {image.path.stem: image.split for image in source.images} == {"train1": "train", "val1": "val"}


@pytest.mark.parametrize(("crowds", "count"), [("auto", 1), ("ignore", 1), ("objects", 2)])
def test_crowds_are_left_out_and_counted(tmp_path, crowds, count):
    crowd = annotation(BOX, attributes={"is_crowd": True})
    single = annotation(BOX, attributes={"is_crowd": False})
    source = read_folder(write(tmp_path, item("a", crowd, single), item("b")), ReadOptions(crowds=crowds))
    assert len(get_boxes(source)["a"]) == count
    assert [note.kind for note in source.images[0].notes] == ["crowd"] * (2 - count)
    assert any("1 crowd in 1 of 2 images" in remark for remark in source.remarks) == (count == 1)


@pytest.mark.parametrize(
    "broken",
    [
        annotation(BOX, label=9),
        annotation(BOX, label=None),
        annotation({"type": "polyline", "points": RING}),
        annotation({"type": "bbox", "bbox": [1, 2, 3]}),
        annotation({"type": "polygon", "points": [1, 2, 3]}),
        annotation({"type": "mask", "rle": {"counts": [1], "size": [80, 96]}}),
        annotation({"type": "mask"}),
        "nonsense",
    ],
)
def test_malformed_annotation_is_a_finding(tmp_path, broken):
    source = read_folder(write(tmp_path, item("a", annotation(BOX), broken)))
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_json_of_other_formats_is_not_claimed(tmp_path):
    write_picture(tmp_path / "x.jpg")
    (tmp_path / "x.json").write_text(json.dumps({"images": [], "categories": [], "annotations": []}))
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(
    data=corrupted_json(
        document(
            item("a", annotation(BOX), annotation(MASK), annotation({"type": "polygon", "points": RING}))
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_datumaro", item("a"))
    (folder / "annotations/default.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)
