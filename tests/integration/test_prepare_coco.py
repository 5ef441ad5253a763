"""COCO JSON with known answers, the hard cases that supervision gives up on among them."""

import json

import numpy as np
import pytest
import supervision

from pipeline.core.refusal import Refused
from pipeline.edges.datasets import read
from tests import sources
from tests.sources import picture


def found(source):
    return {
        image.source: [
            (source.names[c], *b) for c, b in zip(image.raw.classes, image.raw.boxes.tolist(), strict=True)
        ]
        for image in source.images
    }


def reasons(source):
    return [note.reason for image in source.images for note in image.notes]


def write(folder, images, categories=None, *, file="_annotations.coco.json", part="train"):
    for name in images:
        picture(folder / part / name)
    sources.coco(folder / part / file, images, categories=categories or {1: "a", 2: "b"})
    return folder


def test_categories_with_gaps_images_without_objects_and_a_split_by_folder(tmp_path):
    rows = [{"bbox": [10, 20, 30, 40.5], "category_id": 7}, {"bbox": [0, 0, 96, 80], "category_id": 90}]
    write(tmp_path, {"x.jpg": rows, "empty.jpg": []}, {90: "b", 7: "a", 50: "unused"})
    write(tmp_path, {"y.jpg": [{"category_id": 7}]}, {7: "a"}, part="valid")
    source = read("coco", tmp_path)
    assert source.names == ("a", "unused", "b")
    assert found(source) == {
        "train/empty.jpg": [],
        "train/x.jpg": [("a", 10, 20, 40, 60.5), ("b", 0, 0, 96, 80)],
        "valid/y.jpg": [("a", 10, 20, 50, 60)],
    }
    assert [image.split for image in source.images] == ["train", "train", "val"]
    assert source.images[0].size == (96, 80)
    assert (source.defects, source.remarks) == ((), ())


@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("annotations/instances_val2017.json", "val2017/x.jpg"),
        ("annotations/instances_val2017.json", "images/val2017/x.jpg"),
        ("annotations/instances_val.json", "images/val/x.jpg"),
        ("annotations/instances_val.json", "val/x.jpg"),
        ("annotations/instances_val.json", "images/x.jpg"),
        ("val.json", "images/x.jpg"),
        ("val.json", "x.jpg"),
        ("val/labels.json", "val/images/x.jpg"),
        ("val/labels.json", "val/data/x.jpg"),
    ],
)
def test_images_are_found_where_exporters_put_them(tmp_path, file, image):
    picture(tmp_path / image)
    sources.coco(tmp_path / file, {"x.jpg": [{}]}, categories={1: "a"})
    source = read("coco", tmp_path)
    assert found(source) == {image: [("a", 10, 20, 50, 60)]}
    assert source.images[0].split == "val"


@pytest.mark.parametrize("name", ["/home/somebody/x.jpg", "../../x.jpg", "C:\\pictures\\x.jpg"])
def test_a_path_that_leads_out_of_the_source_goes_by_its_name(tmp_path, name):
    picture(tmp_path.parent / "x.jpg")
    picture(tmp_path / "images/x.jpg")
    sources.coco(tmp_path / "annotations.json", {name: [{}]}, categories={1: "a"})
    assert list(found(read("coco", tmp_path))) == ["images/x.jpg"]


def test_an_unused_parent_is_no_class_and_a_used_one_is(tmp_path):
    write(tmp_path, {"x.jpg": [{"category_id": 1}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["categories"] = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "a", "supercategory": "cells"},
    ]
    file.write_text(json.dumps(data))
    source = read("coco", tmp_path)
    assert source.names == ("a",)
    assert source.images[0].raw.classes.tolist() == [0]
    assert source.remarks == ("category 'cells' is a parent without objects: left out",)
    data["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(data))
    assert read("coco", tmp_path).names == ("cells", "a")


def test_files_that_give_one_id_to_different_classes_agree_by_name(tmp_path):
    write(tmp_path, {"x.jpg": [{"category_id": 1}]}, {1: "a", 2: "b"})
    write(tmp_path, {"y.jpg": [{"category_id": 1}]}, {1: "b", 2: "c"}, part="test")
    source = read("coco", tmp_path)
    assert [source.names[image.raw.classes[0]] for image in source.images] == ["b", "a"]
    assert sorted(source.names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"iscrowd": 1}, "annotation 1: a crowd, not one object (iscrowd)"),
        ({"category_id": 99}, "annotation 1: category 99 is not in the list of categories"),
        ({"category_id": [1]}, "annotation 1: category [1] is not in the list of categories"),
        ({"bbox": [1, 2, 3]}, "annotation 1: bbox [1, 2, 3] is not four numbers"),
        ({"bbox": None}, "annotation 1: bbox None is not four numbers"),
        ({"bbox": [1, 2, 3, 1e300]}, "annotation 1: bbox [1, 2, 3, 1e+300] is not four numbers"),
        ({"bbox": [1, 2, 3, float("nan")]}, "annotation 1: bbox [1, 2, 3, nan] is not four numbers"),
        ({"bbox": ["1", 2, 3, 4]}, "annotation 1: bbox ['1', 2, 3, 4] is not four numbers"),
    ],
)
def test_an_object_that_cannot_be_read_is_named_and_the_others_stay(tmp_path, row, reason):
    write(tmp_path, {"x.jpg": [{}, row, {"bbox": [1, 2, 3, 4]}]})
    source = read("coco", tmp_path)
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60], [1, 2, 4, 6]]
    assert source.images[0].raw.marks == ("annotation 0", "annotation 2")
    [note] = source.images[0].notes
    assert (note.dropped, note.reason) == (True, reason)


def test_a_negative_extent_is_the_same_box_from_the_other_corner(tmp_path):
    write(tmp_path, {"x.jpg": [{"bbox": [50, 60, -40, -40]}]})
    source = read("coco", tmp_path)
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60]]
    assert reasons(source) == ["annotation 0: negative width or height: [50, 60, -40, -40]"]


def test_zero_area_is_left_to_the_check_of_boxes_not_lost(tmp_path):
    write(tmp_path, {"x.jpg": [{"bbox": [10, 20, 0, 5]}]})
    assert read("coco", tmp_path).images[0].raw.boxes.tolist() == [[10, 20, 10, 25]]


def test_missing_unlisted_and_stray_are_named(tmp_path):
    write(tmp_path, {"x.jpg": [{}], "gone.jpg": [{}]})
    (tmp_path / "train/gone.jpg").unlink()
    picture(tmp_path / "train/more.jpg")
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["annotations"].append({"id": 77, "image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1]})
    file.write_text(json.dumps(data))
    source = read("coco", tmp_path)
    assert set(source.defects) == {
        ("train/_annotations.coco.json", "dropped-object", "annotation 77: no image 99"),
        ("gone.jpg", "quarantined", "listed in train/_annotations.coco.json, but there is no such image"),
        ("train/more.jpg", "quarantined", "not listed in any annotation file"),
    }


def test_an_image_of_two_splits_is_held_out_and_one_listed_twice_is_put_together(tmp_path):
    for name in ("x.jpg", "y.jpg"):
        picture(tmp_path / "images" / name)
    sources.coco(tmp_path / "train.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"})
    sources.coco(tmp_path / "test.json", {"y.jpg": [{"bbox": [1, 2, 3, 4]}]}, categories={1: "a"})
    data = json.loads((tmp_path / "train.json").read_text())
    data["images"].append({**data["images"][0], "id": 5})
    data["annotations"].append({**data["annotations"][0], "id": 9, "image_id": 5, "bbox": [0, 0, 9, 9]})
    (tmp_path / "train.json").write_text(json.dumps(data))
    source = read("coco", tmp_path)
    assert found(source) == {
        "images/x.jpg": [("a", 10, 20, 50, 60), ("a", 0, 0, 9, 9)],
        "images/y.jpg": [("a", 1, 2, 4, 6)],
    }
    assert [image.split for image in source.images] == ["train", "test"]
    assert reasons(source) == [
        "listed 2 times: its objects are put together",
        "listed in test and train: kept in test alone",
    ]


def test_captions_and_other_json_are_passed_over(tmp_path):
    write(tmp_path, {"x.jpg": [{}]}, file="labels.json")
    (tmp_path / "train/captions.json").write_text(
        json.dumps({"images": [], "categories": [], "annotations": [{"id": 1, "caption": "words"}]})
    )
    (tmp_path / "settings.json").write_text("[1, 2]")
    assert len(read("coco", tmp_path).images) == 1


def test_no_annotations_or_broken_ones_are_refused(tmp_path):
    with pytest.raises(Refused, match="no COCO annotations in"):
        read("coco", tmp_path)
    (tmp_path / "annotations.json").write_text('{"images": [')
    with pytest.raises(Refused, match=r"annotations.json is no JSON .*: mend it or remove it"):
        read("coco", tmp_path)


def test_on_sound_data_supervision_s_own_loader_agrees(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        [{"bbox": rng.uniform(1, 40, 4).tolist(), "category_id": int(rng.integers(1, 3))} for _ in range(4)]
        for _ in range(5)
    ]
    write(tmp_path, {f"{number}.jpg": row for number, row in enumerate(rows)})
    theirs = supervision.DetectionDataset.from_coco(
        str(tmp_path / "train"), str(tmp_path / "train/_annotations.coco.json")
    )
    for image in read("coco", tmp_path).images:
        expected = theirs.annotations[str(image.path.resolve())]
        np.testing.assert_array_equal(image.raw.boxes, expected.xyxy.astype(float))
        np.testing.assert_array_equal(image.raw.classes, expected.class_id)
