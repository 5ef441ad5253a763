"""Supervisely reader: known answers."""

import base64
import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.formats.supervisely.reader import matches_folder, read_folder
from pipeline.source.recognize_format import recognize_source
from tests.readings import check_corrupted_source, corrupted_json, get_boxes, get_outlines
from tests.sources import SIZE, write_picture

RING = [[10, 20], [50, 20], [50, 60]]
META = {"classes": [{"title": "dog", "shape": "bitmap"}, {"title": "cat", "shape": "rectangle"}], "tags": []}


def shape(kind, points, label="cat", holes=()):
    return {
        "classTitle": label,
        "geometryType": kind,
        "points": {"exterior": points, "interior": list(holes)},
        "tags": [],
    }


def bitmap(mode="P", origin=(30, 40)):
    """Return an object of 4 x 2 pixels as the SDK (palette) or the web tool (alpha) encodes it."""
    mask = np.zeros((3, 6), np.uint8)
    mask[1:, 1:5] = 1
    if mode == "P":
        image = Image.fromarray(mask)
        image.putpalette([0, 0, 0, 255, 255, 255])
    else:
        image = Image.fromarray(np.dstack([np.full((3, 6, 3), 255, np.uint8), mask * 255]))
    held = io.BytesIO()
    image.save(held, "PNG", **({"transparency": 0} if mode == "P" else {}))
    data = base64.b64encode(zlib.compress(held.getvalue())).decode()
    return {
        "classTitle": "dog",
        "geometryType": "bitmap",
        "bitmap": {"data": data, "origin": list(origin)},
        "tags": [],
    }


def document(*objects: Any, tags=(), size=SIZE):
    return {
        "description": "",
        "tags": list(tags),
        "size": {"height": size[1], "width": size[0]},
        "objects": list(objects),
    }


def write(folder, documents, dataset="ds", **value_types):
    folder.mkdir(exist_ok=True)
    tags = [{"name": name, "value_type": kind} for name, kind in value_types.items()]
    (folder / "meta.json").write_text(json.dumps({**META, "tags": tags}))
    for name, content in documents.items():
        write_picture(folder / dataset / "img" / name)
        (folder / dataset / "ann").mkdir(exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / dataset / "ann" / f"{name}.json").write_text(text)
    return folder


def test_rectangles_are_two_corners_in_any_order(tmp_path):
    write(
        tmp_path,
        {
            "a.jpg": document(shape("rectangle", [[10, 20], [50, 60]]), shape("rectangle", [[9, 8], [1, 2]])),
            "b.jpg": document(),
        },
    )
    found = recognize_source("auto", tmp_path)
    assert found.form == "supervisely"
    assert get_boxes(found.source) == {"a": [("cat", 10, 20, 50, 60), ("cat", 1, 2, 9, 8)], "b": []}
    assert [image.size for image in found.source.images] == [SIZE, SIZE]
    assert found.source.remarks == ()
    assert found.source.defects == ()


@pytest.mark.parametrize("mode", ["P", "RGBA"])
def test_polygons_and_bitmaps_are_outlines(tmp_path, mode):
    write(tmp_path, {"a.jpg": document(shape("polygon", RING, holes=[RING]), bitmap(mode))})
    source = recognize_source("auto", tmp_path).source
    assert source.task == "segment"
    assert source.names == ("dog", "cat")  # the order of meta.json
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60), ("dog", 31, 41, 35, 43)]}
    first, second = get_outlines(source)["a"]
    assert first == [RING]
    assert sorted(second[0]) == [[31, 41], [31, 43], [35, 41], [35, 43]]
    assert [note.kind for note in source.images[0].notes] == ["hole"]


@pytest.mark.parametrize("folders", [True, False])
def test_splits_are_read_from_datasets_and_from_tags(tmp_path, folders):
    for split in ("train", "val"):
        tags = () if folders else ({"name": split, "value": None},)
        content = document(shape("rectangle", [[10, 20], [50, 60]]), tags=tags)
        write(tmp_path, {f"{split}.jpg": content}, split if folders else "ds")
    source = recognize_source("auto", tmp_path).source
    assert {image.path.stem: image.split for image in source.images} == {"train": "train", "val": "val"}


def test_images_of_the_same_name_keep_their_dataset(tmp_path):
    for number, dataset in enumerate(("one", "two")):
        content = document(shape("rectangle", [[number, 20], [50, 60]]))
        write(tmp_path, {"a.jpg": content}, dataset)
    source = read_folder(tmp_path)
    assert {image.source: image.raw.boxes.tolist() for image in source.images} == {
        "one/img/a.jpg": [[0, 20, 50, 60]],
        "two/img/a.jpg": [[1, 20, 50, 60]],
    }


def test_tags_without_objects_are_classes_of_images(tmp_path):
    contents = {f"{label}.jpg": document(tags=[{"name": label}]) for label in ("good", "bad")}
    source = read_folder(write(tmp_path, contents))
    assert source.task == "classify"
    assert source.names == ("bad", "good")


def test_value_of_a_tag_is_the_class_and_told(tmp_path):
    contents = {
        f"{label}.jpg": document(tags=[{"name": "species", "value": label}]) for label in ("cat", "dog")
    }
    source = read_folder(write(tmp_path, contents))
    assert (source.task, source.names) == ("classify", ("dog", "cat"))  # the order of meta.json
    assert [remark for remark in source.remarks if "species" in remark]


def test_two_tags_with_values_are_a_fault_that_names_them(tmp_path):
    tags = [{"name": "species", "value": "cat"}, {"name": "coat", "value": "grey"}]
    contents = {"a.jpg": document(tags=tags), "b.jpg": document(tags=tags[:1])}
    types = {"species": "oneof_string", "coat": "oneof_string"}
    faults = [image.fault for image in read_folder(write(tmp_path, contents, **types)).images]
    assert ("cat" in faults[0], "grey" in faults[0], faults[1]) == (True, True, "")


@pytest.mark.parametrize("value", [None, "", " ", 3, True, ["cat"]])
def test_tag_without_a_text_as_its_value_is_a_class_by_its_name(tmp_path, value):
    contents = {"a.jpg": document(tags=[{"name": "good", "value": value}])}
    assert read_folder(write(tmp_path, contents)).names == ("good",)


def test_value_of_a_tag_called_split_is_the_split(tmp_path):
    for split in ("train", "val", "fold 1"):
        tags = [{"name": "Split", "value": split}, {"name": "species", "value": "cat"}]
        write(tmp_path, {f"{split}.jpg": document(tags=tags)})
    source = read_folder(tmp_path)
    assert source.names == ("cat",)
    assert {image.path.stem: image.split for image in source.images} == {
        "fold 1": None,
        "train": "train",
        "val": "val",
    }
    assert [note for image in source.images for note in image.notes] == []
    assert sum("'fold 1'" in remark for remark in source.remarks) == 1


@pytest.mark.parametrize(
    ("name", "value", "split"),
    [
        ("set", "2024-05", None),
        ("usage", "commercial", None),
        ("split", "train_1", "train"),
        ("split", "val2017", "val"),
        ("train_1", None, "train"),
        ("test2017", None, "test"),
    ],
)
def test_tag_of_a_background_image_is_a_split_or_told_and_no_lost_object(tmp_path, name, value, split):
    tags = [{"name": name, "value": value}]
    contents = {"a.jpg": document(shape("rectangle", [[10, 20], [50, 60]])), "b.jpg": document(tags=tags)}
    source = read_folder(write(tmp_path, contents))
    image = source.images[1]
    assert (image.split, image.notes, len(image.raw.classes), image.fault) == (split, (), 0, "")
    assert len([remark for remark in source.remarks if name in remark]) == (split is None)


def test_words_with_the_name_of_a_split_are_classes(tmp_path):
    contents = {
        f"{i}.jpg": document(tags=[{"name": name}]) for i, name in enumerate(("train station", "dev-board"))
    }
    assert read_folder(write(tmp_path, contents)).names == ("dev-board", "train station")


def read_tags(folder, *tags: tuple[str, str], **value_types):
    contents = {
        f"{i}.jpg": document(tags=[{"name": name, "value": value}]) for i, (name, value) in enumerate(tags)
    }
    source = read_folder(write(folder, contents, **value_types))
    return [source.names[image.raw.classes[0]] for image in source.images], source.remarks


def test_one_value_of_several_tags_is_a_class_of_each(tmp_path):
    tags = ("cat", "yes"), ("dog", "yes"), ("coat", "grey")
    names, remarks = read_tags(tmp_path, *tags, cat="oneof_string", dog="oneof_string", coat="oneof_string")
    assert names == ["cat: yes", "dog: yes", "grey"]
    assert len(remarks) == 2


def test_free_text_of_a_tag_is_no_class_and_told(tmp_path):
    tags = ("good", "a"), ("good", "b"), ("bad", "a"), ("kind", "x"), ("new", "")
    types = {"good": "any_string", "bad": "any_string", "kind": "oneof_string", "new": "none"}
    names, remarks = read_tags(tmp_path, *tags, **types)
    assert names == ["good", "good", "bad", "x", "new"]
    assert len(remarks) == 2


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        (tuple(("kind", value) for value in "ababcc"), "ababcc"),
        ((("a", "good one"), ("a", "too dark"), ("a", "blurred")), "aaa"),
        ((("a", "yes"), ("b", "yes")), "ab"),
    ],
)
def test_values_of_a_tag_that_is_not_declared_are_classes_if_they_repeat(tmp_path, tags, names):
    found, remarks = read_tags(tmp_path, *tags)
    assert found == [*names]
    assert len(remarks) == 1


def test_image_with_tags_of_several_splits_is_kept_in_the_held_out_one(tmp_path):
    tags = [{"name": "train"}, {"name": "test"}, {"name": "cat"}]
    [image] = read_folder(write(tmp_path, {"a.jpg": document(tags=tags)})).images
    assert image.split == "test"
    assert [(note.dropped, note.kind) for note in image.notes] == [(False, "listed-twice")]


@pytest.mark.parametrize(
    "item",
    [
        shape("polyline", RING),
        shape("rectangle", RING),
        shape("rectangle", [[1, 2], ["x", 3]]),
        shape("polygon", RING, label=""),
        {**bitmap(), "bitmap": {"data": "nonsense!", "origin": [0, 0]}},
        {
            **bitmap(),
            "bitmap": {"data": base64.b64encode(zlib.compress(b"no image")).decode(), "origin": [0, 0]},
        },
        "nonsense",
    ],
)
def test_malformed_object_is_a_finding(tmp_path, item):
    source = read_folder(write(tmp_path, {"a.jpg": document(shape("rectangle", [[10, 20], [50, 60]]), item)}))
    assert get_boxes(source) == {"a": [("cat", 10, 20, 50, 60)]}
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_broken_file_is_a_fault_of_its_image(tmp_path):
    content = document(shape("rectangle", [[10, 20], [50, 60]]))
    source = read_folder(write(tmp_path, {"a.jpg": content, "b.jpg": '{"size'}))
    assert {image.path.stem: bool(image.fault) for image in source.images} == {"a": False, "b": True}


def test_bitmap_that_expands_without_end_is_a_finding(tmp_path):
    item = {
        **bitmap(),
        "bitmap": {"data": base64.b64encode(zlib.compress(bytes(10**8))).decode(), "origin": [0, 0]},
    }
    source = read_folder(write(tmp_path, {"a.jpg": document(shape("rectangle", [[10, 20], [50, 60]]), item)}))
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_json_of_other_formats_is_not_claimed(tmp_path):
    write_picture(tmp_path / "x.jpg")
    (tmp_path / "x.json").write_text(json.dumps({"shapes": [], "imagePath": "x.jpg", "imageData": None}))
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError):
        read_folder(tmp_path)


@given(
    data=corrupted_json(document(shape("rectangle", [[10, 20], [50, 60]]), shape("polygon", RING), bitmap()))
)
@settings(max_examples=60, deadline=None)
def test_corrupted_json_is_refused_or_read(tmp_path_factory, data):
    folder = write(tmp_path_factory.getbasetemp() / "corrupted_supervisely", {"a.jpg": document()})
    (folder / "ds/ann/a.jpg.json").write_bytes(data)
    check_corrupted_source(read_folder, folder)
