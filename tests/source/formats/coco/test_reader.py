"""COCO reader: known answers, with cases that supervision cannot read."""

import json
import unicodedata

import numpy as np
import pytest
import shapely
import supervision
from faster_coco_eval.core import mask as faster_mask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.source.formats.coco.reader import matches_folder
from pipeline.source.reading.flip_pairs import COCO_KEYPOINTS
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import write_picture


def objects_by_image(source):
    return {
        image.source: [
            (source.names[c], *b) for c, b in zip(image.raw.classes, image.raw.boxes.tolist(), strict=True)
        ]
        for image in source.images
    }


def list_reasons(source):
    return [note.reason for image in source.images for note in image.notes]


def write_dataset(folder, images, categories=None, *, file="_annotations.coco.json", part="train"):
    for name in images:
        write_picture(folder / part / name)
    sources.write_coco_file(folder / part / file, images, categories=categories or {1: "a", 2: "b"})
    return folder


def test_category_ids_with_gaps_empty_images_and_split_folders_are_read(tmp_path):
    rows = [{"bbox": [10, 20, 30, 40.5], "category_id": 7}, {"bbox": [0, 0, 96, 80], "category_id": 90}]
    write_dataset(tmp_path, {"x.jpg": rows, "empty.jpg": []}, {90: "b", 7: "a", 50: "unused"})
    write_dataset(tmp_path, {"y.jpg": [{"category_id": 7}]}, {7: "a"}, part="valid")
    source = read_source("coco", tmp_path)
    assert source.names == ("a", "unused", "b")
    assert objects_by_image(source) == {
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
        ("val/annotations/instances.json", "val/images/x.jpg"),
    ],
)
def test_images_are_found_in_folders_of_common_exporters(tmp_path, file, image):
    write_picture(tmp_path / image)
    sources.write_coco_file(tmp_path / file, {"x.jpg": [{}]}, categories={1: "a"})
    source = read_source("coco", tmp_path)
    assert objects_by_image(source) == {image: [("a", 10, 20, 50, 60)]}
    assert source.images[0].split is None  # one split alone is none
    assert [remark for remark in source.remarks if "no split but val" in remark]


@pytest.mark.parametrize("files", [("train", "extra"), ("site_a", "field_test"), ("train", "train_2")])
def test_split_that_only_some_files_name_is_none(tmp_path, files):
    for name in files:
        write_picture(tmp_path / f"images/{name}.jpg")
        sources.write_coco_file(
            tmp_path / f"annotations/{name}.json", {f"{name}.jpg": [{}]}, categories={1: "a"}
        )
    source = read_source("coco", tmp_path)
    assert [image.split for image in source.images] == [None, None]
    assert len(source.remarks) == ("train_2" not in files)


def test_image_in_two_files_of_which_one_names_a_split_keeps_all_objects(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    for file, box in (("train", [10, 20, 40, 40]), ("extra", [0, 0, 9, 9])):
        sources.write_coco_file(tmp_path / f"{file}.json", {"x.jpg": [{"bbox": box}]}, categories={1: "a"})
    [boxes] = objects_by_image(read_source("coco", tmp_path)).values()
    assert sorted(boxes) == [("a", 0, 0, 9, 9), ("a", 10, 20, 50, 60)]


@pytest.mark.parametrize("name", ["/home/somebody/x.jpg", "../../x.jpg", "C:\\pictures\\x.jpg"])
@pytest.mark.fault(1, "COCO file with paths and addresses outside the source")
def test_path_outside_the_source_is_matched_by_its_file_name(tmp_path, name):
    write_picture(tmp_path.parent / "x.jpg")
    write_picture(tmp_path / "images/x.jpg")
    sources.write_coco_file(tmp_path / "annotations.json", {name: [{}]}, categories={1: "a"})
    assert list(objects_by_image(read_source("coco", tmp_path))) == ["images/x.jpg"]


def test_parent_category_is_a_class_only_if_it_has_objects(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"category_id": 1}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["categories"] = [
        {"id": 0, "name": "cells", "supercategory": "none"},
        {"id": 1, "name": "a", "supercategory": "cells"},
    ]
    file.write_text(json.dumps(data))
    source = read_source("coco", tmp_path)
    assert source.names == ("a",)
    assert source.images[0].raw.classes.tolist() == [0]
    assert source.remarks == ("category 'cells' is a parent without objects: left out",)
    data["annotations"][0]["category_id"] = 0
    file.write_text(json.dumps(data))
    assert read_source("coco", tmp_path).names == ("cells", "a")


def test_files_with_different_category_ids_are_merged_by_name(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"category_id": 1}]}, {1: "a", 2: "b"})
    write_dataset(tmp_path, {"y.jpg": [{"category_id": 1}]}, {1: "b", 2: "c"}, part="test")
    source = read_source("coco", tmp_path)
    assert [source.names[image.raw.classes[0]] for image in source.images] == ["b", "a"]
    assert sorted(source.names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("key", "second", "named"),
    [
        ("images", {"id": 0, "file_name": "y.jpg"}, "x.jpg and y.jpg"),
        ("categories", {"id": 1, "name": "c"}, "a and c"),
        ("images", {"id": "0", "file_name": "x.jpg"}, None),
        ("categories", {"id": 1.0, "name": "a"}, None),
        ("images", {"id": 7, "file_name": "y.jpg"}, None),
        ("categories", {"id": 2, "name": "c"}, None),
    ],
)
def test_one_id_of_two_different_entries_in_use_is_refused(tmp_path, key, second, named):
    write_dataset(tmp_path, {"x.jpg": [{"category_id": 1}]})
    write_picture(tmp_path / "train/y.jpg")
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, key: [*data[key], second]}))
    if named:
        with pytest.raises(UserError, match=named):
            read_source("coco", tmp_path)
    else:
        found = objects_by_image(read_source("coco", tmp_path))
        assert found["train/x.jpg"][0] == ("a", 10, 20, 50, 60)
        assert not found.get("train/y.jpg")


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
def test_unreadable_object_is_dropped_and_the_others_are_kept(tmp_path, row, reason):
    write_dataset(tmp_path, {"x.jpg": [{}, row, {"bbox": [1, 2, 3, 4]}]})
    source = read_source("coco", tmp_path)
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60], [1, 2, 4, 6]]
    assert source.images[0].raw.marks == ("annotation 0", "annotation 2")
    [note] = source.images[0].notes
    assert (note.dropped, note.reason) == (True, reason)


def test_negative_size_is_passed_on_to_the_check_of_boxes(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"bbox": [50, 60, -40, -40]}]})
    assert read_source("coco", tmp_path).images[0].raw.boxes.tolist() == [[50, 60, 10, 20]]


def test_zero_area_is_passed_on_to_the_check_of_boxes(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"bbox": [10, 20, 0, 5]}]})
    assert read_source("coco", tmp_path).images[0].raw.boxes.tolist() == [[10, 20, 10, 25]]


def test_missing_and_unlisted_images_and_stray_annotations_are_reported(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}], "gone.jpg": [{}]})
    (tmp_path / "train/gone.jpg").unlink()
    write_picture(tmp_path / "train/more.jpg")
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["annotations"].append({"id": 77, "image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1]})
    file.write_text(json.dumps(data))
    source = read_source("coco", tmp_path)
    assert {defect[:3] for defect in source.defects} == {
        ("train/_annotations.coco.json", "dropped-object", "annotation 77: no image 99"),
        ("gone.jpg", "quarantined", "listed in train/_annotations.coco.json, but there is no such image"),
        ("train/more.jpg", "quarantined", "not listed in any annotation file"),
    }


def test_folders_without_listed_images_are_reported(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}]})
    for name in ("test/a.jpg", "test/b.jpg", "more/deep/c.jpg"):
        write_picture(tmp_path / name)
    source = read_source("coco", tmp_path)
    assert source.defects == ()
    assert source.remarks == ("3 images in more/deep/, test/ where no annotation file lists any: left aside",)


def test_one_file_for_all_images_takes_the_split_from_image_folders(tmp_path):
    for part in ("train", "val", "extra"):
        write_picture(tmp_path / f"images/{part}/x.jpg")
    names = {"train/x.jpg": [{}], "val/x.jpg": [{}]}
    sources.write_coco_file(tmp_path / "annotations.json", names, categories={1: "a"})
    assert [image.split for image in read_source("coco", tmp_path).images] == ["train", "val"]
    sources.write_coco_file(
        tmp_path / "annotations.json", {"train/x.jpg": [{}], "extra/x.jpg": [{}]}, categories={1: "a"}
    )
    assert [image.split for image in read_source("coco", tmp_path).images] == [None, None]


def test_further_image_fields_become_columns(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"][0] |= {"location": 7, "seq_id": "a", "license": 1, "coco_url": "http", "extra": {"a": 1}}
    file.write_text(json.dumps(data))
    assert read_source("coco", tmp_path).images[0].columns == {"location": "7", "seq_id": "a"}


def test_image_in_two_splits_is_held_out_and_image_listed_twice_is_merged(tmp_path):
    for name in ("x.jpg", "y.jpg"):
        write_picture(tmp_path / "images" / name)
    sources.write_coco_file(tmp_path / "train.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"})
    sources.write_coco_file(tmp_path / "test.json", {"y.jpg": [{"bbox": [1, 2, 3, 4]}]}, categories={1: "a"})
    data = json.loads((tmp_path / "train.json").read_text())
    data["images"].append({**data["images"][0], "id": 5})
    data["annotations"].append({**data["annotations"][0], "id": 9, "image_id": 5, "bbox": [0, 0, 9, 9]})
    (tmp_path / "train.json").write_text(json.dumps(data))
    source = read_source("coco", tmp_path)
    assert objects_by_image(source) == {
        "images/x.jpg": [("a", 10, 20, 50, 60), ("a", 0, 0, 9, 9)],
        "images/y.jpg": [("a", 1, 2, 4, 6)],
    }
    assert [image.split for image in source.images] == ["train", "test"]
    assert list_reasons(source) == [
        "listed 2 times: its objects are put together",
        "listed in test and train: kept in test alone",
    ]


def test_image_with_another_suffix_or_case_is_found_and_noted(tmp_path):
    write_picture(tmp_path / "train/x.PNG")
    write_picture(tmp_path / "train/Y.jpg")
    sources.write_coco_file(
        tmp_path / "train/labels.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"}
    )
    source = read_source("coco", tmp_path)
    assert list(objects_by_image(source)) == ["train/Y.jpg", "train/x.PNG"]
    assert list_reasons(source) == ["its annotation calls it y.jpg", "its annotation calls it x.jpg"]


def test_file_name_in_decomposed_unicode_is_found(tmp_path):
    write_picture(tmp_path / "train" / unicodedata.normalize("NFD", "café.jpg"))
    sources.write_coco_file(tmp_path / "train/a.json", {"café.jpg": [{}]}, categories={1: "a"})
    source = read_source("coco", tmp_path)
    assert (len(source.images), source.defects) == (1, ())
    assert list_reasons(source) == ["its annotation calls it café.jpg"]


@pytest.mark.parametrize(
    ("width", "size"), [(96.0, (96, 80)), (96.5, None), ("96", None), (float("nan"), None)]
)
def test_size_may_be_a_float_with_an_integer_value(tmp_path, width, size):
    write_dataset(tmp_path, {"x.jpg": [{}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"][0]["width"] = width
    file.write_text(json.dumps(data))
    assert read_source("coco", tmp_path).images[0].size == size


def test_captions_and_other_json_files_are_skipped(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}]}, file="labels.json")
    (tmp_path / "train/captions.json").write_text(
        json.dumps({"images": [], "categories": [], "annotations": [{"id": 1, "caption": "words"}]})
    )
    (tmp_path / "settings.json").write_text("[1, 2]")
    assert len(read_source("coco", tmp_path).images) == 1


def test_missing_or_damaged_annotations_are_refused(tmp_path):
    with pytest.raises(UserError, match="no COCO annotations in"):
        read_source("coco", tmp_path)
    (tmp_path / "annotations.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"annotations.json is not valid JSON .*: fix or remove it"):
        read_source("coco", tmp_path)


def test_valid_data_equals_the_result_of_supervision(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        [{"bbox": rng.uniform(1, 40, 4).tolist(), "category_id": int(rng.integers(1, 3))} for _ in range(4)]
        for _ in range(5)
    ]
    write_dataset(tmp_path, {f"{number}.jpg": row for number, row in enumerate(rows)})
    theirs = supervision.DetectionDataset.from_coco(
        str(tmp_path / "train"), str(tmp_path / "train/_annotations.coco.json")
    )
    for image in read_source("coco", tmp_path).images:
        expected = theirs.annotations[str(image.path.resolve())]
        np.testing.assert_allclose(image.raw.boxes, expected.xyxy, rtol=1e-6)
        np.testing.assert_array_equal(image.raw.classes, expected.class_id)


RING = [10, 20, 50, 20, 50, 60, 10, 60]


def read_annotation(folder, row, **category):
    """Read one annotation; its category may have names of key points."""
    write_dataset(folder, {"x.jpg": [row]})
    file = folder / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["categories"][0] |= category
    if "bbox" in row and row["bbox"] is None:
        del data["annotations"][0]["bbox"]
    file.write_text(json.dumps(data))
    return read_source("coco", folder)


def test_polygon_with_several_parts_is_read(tmp_path):
    source = read_annotation(tmp_path, {"segmentation": [RING, [1, 1, 9, 1, 5, 9.5]]})
    [parts] = source.images[0].raw.outlines
    assert source.task == "segment"
    assert [part.tolist() for part in parts] == [
        [[10, 20], [50, 20], [50, 60], [10, 60]],
        [[1, 1], [9, 1], [5, 9.5]],
    ]


def test_polygon_without_an_outer_list_is_read(tmp_path):
    [[part]] = read_annotation(tmp_path, {"segmentation": RING}).images[0].raw.outlines
    assert part.tolist()[0] == [10, 20]


@pytest.mark.parametrize("bad", [[1, 2, 3], ["x"] * 6, [None] * 6, [1e300] * 6, [float("nan")] * 6, 5, None])
def test_part_that_is_no_list_of_points_is_dropped_and_the_others_are_kept(tmp_path, bad):
    source = read_annotation(tmp_path, {"segmentation": [RING, bad]})
    [[part]] = source.images[0].raw.outlines
    assert len(part) == 4
    assert list_reasons(source) == [
        "annotation 0: 1 of 2 parts of its outline are no list of points: left out"
    ]


def test_missing_bbox_is_computed_from_the_outline(tmp_path):
    source = read_annotation(tmp_path, {"segmentation": [RING], "bbox": None})
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60]]
    assert list_reasons(source) == ["annotation 0: no bbox of four numbers: taken from its outline"]


@pytest.mark.fault(10, "COCO: an outline without bbox takes the place of the keypoints")
@pytest.mark.parametrize(
    ("keypoints", "task", "points"),
    [([20, 30, 2, 40, 30, 1, 0, 0, 0], "pose", [[20, 30, 2], [40, 30, 1], [0, 0, 0]]), ([], "segment", None)],
)
def test_keypoints_stay_where_the_box_is_that_of_the_outline(tmp_path, keypoints, task, points):
    row = {"segmentation": [RING], "bbox": None, "keypoints": keypoints}
    source = read_annotation(tmp_path, row)
    assert source.task == task
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60]]
    if points:
        assert source.images[0].raw.keypoints[0].tolist() == points


def encode_run_lengths(mask):
    """Encode like COCO: column by column, starting with the number of zeros."""
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


def compress_run_lengths(runs):
    """Compress run lengths like pycocotools: difference to the run before the last, five bits per letter."""
    text = ""
    for index, run in enumerate(runs):
        value, more = run - (runs[index - 2] if index > 2 else 0), True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


MASK = np.zeros((80, 96), np.uint8)
MASK[20:60, 10:50] = 1
MASK[30:40, 60:70] = 1
HOLED = MASK.copy()
HOLED[30:35, 20:25] = 0


@pytest.mark.parametrize(
    "encode", [encode_run_lengths, lambda mask: compress_run_lengths(encode_run_lengths(mask))]
)
@pytest.mark.parametrize("mask", [MASK, HOLED, np.ones_like(MASK)])
def test_outline_of_a_mask_follows_the_edges_of_its_pixels(tmp_path, encode, mask):
    source = read_annotation(tmp_path, {"segmentation": {"counts": encode(mask), "size": [80, 96]}})
    [parts] = source.images[0].raw.outlines
    area = sum(float(shapely.Polygon(part).area) for part in parts)
    holes = 25 if mask is HOLED else 0
    assert area == mask.sum() + holes
    assert source.task == "segment"
    assert list_reasons(source) == (["annotation 0: 1 hole in its mask is filled"] if holes else [])


def test_compressed_run_lengths_equal_those_of_faster_coco_eval():
    counts = faster_mask.encode(np.asfortranarray(MASK))["counts"].decode()
    assert compress_run_lengths(encode_run_lengths(MASK)) == counts


@pytest.mark.parametrize(
    "mask",
    [
        {"counts": [5], "size": [80, 96]},
        {"counts": [-5, 7685], "size": [80, 96]},
        {"counts": [10**12], "size": [10**6, 10**6]},
        {"counts": [7680], "size": [-80, -96]},
        {"counts": "\x00~~~", "size": [80, 96]},
        {"counts": "", "size": [80, 96]},
        {"counts": [7680], "size": [80, 96]},
        {"counts": None, "size": [80, 96]},
        {"counts": [7680]},
        {},
    ],
)
def test_undecodable_mask_is_dropped_and_the_box_is_kept(tmp_path, mask):
    source = read_annotation(tmp_path, {"segmentation": mask})
    assert objects_by_image(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    assert source.task == "detect"
    if mask:
        [reason] = list_reasons(source)
        assert reason.startswith(
            ("annotation 0: its mask cannot be decoded", "annotation 0: its mask is empty")
        )


@pytest.mark.parametrize(
    "encode", [encode_run_lengths, lambda mask: compress_run_lengths(encode_run_lengths(mask))]
)
def test_mask_of_another_size_is_dropped_and_the_box_is_kept(tmp_path, encode):
    source = read_annotation(tmp_path, {"segmentation": {"counts": encode(MASK), "size": [96, 80]}})
    assert objects_by_image(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    reason = "a size of 80 x 96 pixels, but the image has 96 x 80"
    assert list_reasons(source) == [f"annotation 0: its mask cannot be decoded ({reason}): left out"]


def test_names_that_cannot_be_encoded_are_escaped(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}]}, {1: "\ud800", 2: "Größe"})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"] += [{"id": 5, "file_name": "\udce9.jpg"}, {"id": 6, "file_name": "/"}]
    data["annotations"][0]["id"] = "\ud800"
    file.write_text(json.dumps(data))
    source = read_source("coco", tmp_path)
    assert source.names == ("\\ud800", "Größe")
    assert [defect.file for defect in source.defects] == ["\\udce9.jpg", "/"]
    assert source.images[0].raw.marks == ("annotation \\ud800",)


def test_keypoints_are_read_as_pose_with_flip_pairs_from_their_names(tmp_path):
    row = {"keypoints": [20, 30, 2, 40, 30, 1, 0, 0, 0], "num_keypoints": 2}
    source = read_annotation(tmp_path, row, keypoints=["left_eye", "right_eye", "nose"])
    assert source.task == "pose"
    assert source.keypoints.names == ("left_eye", "right_eye", "nose")
    assert source.keypoints.flip == (1, 0, 2)
    assert source.images[0].raw.keypoints[0].tolist() == [[20, 30, 2], [40, 30, 1], [0, 0, 0]]


NAMED = {"keypoints": ["left_eye", "right_eye", "nose"]}


@pytest.mark.parametrize(
    ("row", "category"),
    [
        ({"keypoints": [20, 30, 40, 30, 0, 0]}, NAMED),
        ({"keypoints": [20, 30, 40, 30, 0, 0], "num_keypoints": 3}, {}),
        ({"keypoints": [[20, 30], [40, 30], None]}, {}),
    ],
)
def test_keypoints_without_visibility_are_visible_unless_at_zero(tmp_path, row, category):
    source = read_annotation(tmp_path, row, **category)
    assert source.task == "pose"
    assert source.images[0].raw.keypoints[0].tolist() == [[20, 30, 2], [40, 30, 2], [0, 0, 0]]
    assert any("without a visibility" in remark for remark in source.remarks)
    assert source.images[0].notes == ()


def test_seventeen_points_without_visibility_are_a_pose(tmp_path):
    """34 numbers are no threes: such objects lost their keypoints."""
    row = {"keypoints": [20, 30] * 17, "num_keypoints": 17}
    source = read_annotation(tmp_path, row, keypoints=[f"p{number}" for number in range(17)])
    assert (source.task, source.keypoints.count) == ("pose", 17)


@pytest.mark.parametrize(
    "points",
    [
        [[20, 30, 2], [40, 30, 1], [0, 0, 0]],
        [[20, 30, 2], [40, 30, 1], None],
        [20, 30, 2, 40, 30, 1, None, None, 0],
        [20, 30, 2, 40, 30, 1, None, None, None],
    ],
)
def test_nested_keypoints_and_null_are_read(tmp_path, points):
    source = read_annotation(tmp_path, {"keypoints": points}, **NAMED)
    assert source.images[0].raw.keypoints[0].tolist() == [[20, 30, 2], [40, 30, 1], [0, 0, 0]]
    assert source.images[0].notes == ()


def test_points_of_two_objects_that_fit_threes_are_read_as_threes(tmp_path):
    """A number of labelled points that fits the threes is no sign of pairs."""
    row = {"keypoints": [20, 30, 2, 40, 30, 2], "num_keypoints": 2}
    assert len(read_annotation(tmp_path, row).images[0].raw.keypoints[0]) == 2


@pytest.mark.parametrize("policy", ["auto", "shares", "percent"])
def test_keypoints_in_shares_are_scaled_with_their_box(tmp_path, policy):
    unit = 100 if policy == "percent" else 1
    row = {
        "bbox": [0.125 * unit, 0.25 * unit, 0.5 * unit, 0.5 * unit],
        "keypoints": [0.25 * unit, 0.5 * unit, 2, 1.01 * unit, 0.25 * unit, 1, 0, 0, 0],
        "segmentation": [[0.125 * unit, 0.25 * unit, 1.01 * unit, 0.25 * unit, 0.5 * unit, 0.5 * unit]],
    }
    write_dataset(tmp_path, {"x.jpg": [row] * 3})
    image = read_source("coco", tmp_path, ReadOptions(labels=policy)).images[0]
    np.testing.assert_allclose(image.raw.boxes[0], [12, 20, 60, 60])
    np.testing.assert_allclose(image.raw.keypoints[0], [[24, 40, 2], [96.96, 20, 1], [0, 0, 0]])
    np.testing.assert_allclose(image.raw.outlines[0][0], [[12, 20], [96.96, 20], [48, 40]])


def test_keypoints_in_shares_beside_boxes_in_pixels_are_refused(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"keypoints": [0.25, 0.5, 2, 0.5, 0.25, 2, 0, 0, 0]}] * 3})
    with pytest.raises(UserError, match="keypoints"):
        read_source("coco", tmp_path)
    assert read_source("coco", tmp_path, ReadOptions(labels="pixels")).task == "pose"


@pytest.mark.parametrize(
    ("visibility", "word"), [(0.231, "data.predictions=labels"), (3, "must be 0"), (50, "must be 0")]
)
def test_visibilities_that_are_none_are_refused(tmp_path, visibility, word):
    row = {"keypoints": [20, 30, visibility, 40, 30, visibility, 0, 0, 0]}
    write_dataset(tmp_path, {"x.jpg": [row] * 2})
    with pytest.raises(UserError, match=word):
        read_source("coco", tmp_path)


def test_confidences_of_keypoints_are_read_where_they_are_said_to_be_labels(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"keypoints": [20, 30, 0.25, 40, 30, 0.75]}] * 2})
    assert read_source("coco", tmp_path, ReadOptions(predictions="labels")).task == "pose"


def test_visibility_below_zero_means_not_labelled(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"keypoints": [20, 30, 2, 40, 30, -1, 0, 0, -1]}] * 2})
    assert read_source("coco", tmp_path).task == "pose"


def test_visibilities_beside_confidences_are_read_where_they_are_said_to_be_labels(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{"keypoints": [20, 30, 0.25, 40, 30, 2, 50, 30, 0.75]}] * 2})
    with pytest.raises(UserError, match=r"data.predictions=labels"):
        read_source("coco", tmp_path)
    assert read_source("coco", tmp_path, ReadOptions(predictions="labels")).task == "pose"


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "classify"])
def test_visibilities_are_of_no_use_for_another_task_than_pose(tmp_path, task):
    write_dataset(tmp_path, {"x.jpg": [{"keypoints": [20, 30, 3, 40, 30, 0.5]}] * 2})
    assert len(read_source("coco", tmp_path, ReadOptions(task=task)).images[0].raw.boxes) == 2
    with pytest.raises(UserError):
        read_source("coco", tmp_path, ReadOptions(task="pose"))


def test_few_odd_visibilities_are_left_to_the_check_of_keypoints(tmp_path):
    rows = [{"keypoints": [20, 30, 2] * 3 + [40, 30, 2 if number else 3]} for number in range(5)]
    write_dataset(tmp_path, {"x.jpg": rows})
    assert read_source("coco", tmp_path).images[0].raw.keypoints[0][3, 2] == 3


def test_unnamed_keypoints_are_those_of_a_person_with_a_remark_or_numbered(tmp_path):
    source = read_annotation(tmp_path, {"keypoints": [20, 30, 2] * 17})
    assert (source.keypoints.names[0], source.keypoints.flip[1]) == ("nose", 2)
    [remark] = source.remarks
    assert "17 keypoints have no names" in remark
    named = read_annotation(tmp_path, {"keypoints": [20, 30, 2] * 17}, keypoints=list(COCO_KEYPOINTS))
    assert (named.keypoints, named.remarks) == (source.keypoints, ())
    source = read_annotation(tmp_path, {"keypoints": [20, 30, 2] * 2})
    assert (source.keypoints.names, source.keypoints.flip) == (("point_0", "point_1"), ())


def test_few_keypoints_among_boxes_are_ignored(tmp_path):
    write_dataset(tmp_path, {"x.jpg": [{}, {}, {"keypoints": [20, 30, 2]}], "y.jpg": [{}]})
    source = read_source("coco", tmp_path)
    assert (source.task, source.keypoints) == ("detect", None)
    assert source.remarks == ("1 of 4 objects have 1 key point: left aside",)


@pytest.mark.parametrize("points", [[1, 2], "x", [None, 1, 2], [1e300, 1, 2], {}])
def test_invalid_keypoints_are_dropped_and_the_box_is_kept(tmp_path, points):
    source = read_annotation(tmp_path, {"keypoints": points})
    assert objects_by_image(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    assert source.task == "detect"
    noted = [(False, "no-keypoints")] if points else []
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == noted


def test_one_kind_of_file_is_read_and_the_others_are_reported(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    for kind in ("instances", "captions", "person_keypoints"):
        sources.write_coco_file(
            tmp_path / f"annotations/{kind}_train.json", {"x.jpg": [{}]}, categories={1: kind}
        )
    source = read_source("coco", tmp_path)
    assert source.names == ("instances",)
    assert source.remarks == (
        "not read, since other files describe the objects: annotations/captions_train.json, "
        "annotations/person_keypoints_train.json (data.task=pose reads keypoints)",
    )


def test_image_in_another_folder_is_found_unless_it_is_in_another_split(tmp_path):
    write_picture(tmp_path / "photos/x.jpg")
    write_picture(tmp_path / "photos/train/y.jpg")
    sources.write_coco_file(
        tmp_path / "annotations/instances_val.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"}
    )
    source = read_source("coco", tmp_path)
    assert list(objects_by_image(source)) == ["photos/x.jpg"]
    assert [defect.file for defect in source.defects] == ["y.jpg"]


@pytest.mark.parametrize("task", ["auto", "pose"])
def test_task_chooses_between_instances_and_keypoints(tmp_path, task):
    write_picture(tmp_path / "images/x.jpg")
    for kind, points in (("instances", {}), ("person_keypoints", {"keypoints": [20, 30, 2, 40, 50, 2]})):
        sources.write_coco_file(
            tmp_path / f"annotations/{kind}_train.json", {"x.jpg": [points]}, categories={1: kind}
        )
    source = read_source("coco", tmp_path, ReadOptions(task=task))
    chosen, other = ("person_keypoints", "instances") if task == "pose" else ("instances", "person_keypoints")
    assert source.names == (chosen,)
    assert source.task == ("pose" if task == "pose" else "detect")
    assert any(f"annotations/{other}_train.json" in remark for remark in source.remarks)


@pytest.mark.parametrize(
    ("file", "image", "name"),
    [
        ("set/labels.json", "set/x.jpg", "x.jpg"),
        ("set/labels.json", "set/pictures/x.jpg", "pictures/x.jpg"),
        ("set/annotations/train.json", "set/images/x.jpg", "images/x.jpg"),
        ("set/annotations/train.json", "set/photos/deep/x.jpg", "photos/deep/x.jpg"),
    ],
)
def test_file_as_source_is_read_alone_and_its_images_are_found(tmp_path, file, image, name):
    write_picture(tmp_path / image)
    sources.write_coco_file(tmp_path / file, {"x.jpg": [{}]}, categories={1: "a"})
    other = (tmp_path / file).with_name("other.json")
    sources.write_coco_file(other, {"x.jpg": [{"bbox": [1, 2, 3, 4]}]}, categories={1: "b"})
    source = read_source("auto", tmp_path / file)
    assert objects_by_image(source) == {name: [("a", 10, 20, 50, 60)]}
    assert (source.images[0].split, source.defects) == (None, ())


@pytest.mark.parametrize(
    "data",
    [
        {"categories": [{"id": 0, "name": "a"}], "info": {"contributor": "Label Studio"}},
        {"categories": [{"id": 0, "name": "a"}], "images": []},
    ],
)
def test_file_without_images_is_not_claimed(tmp_path, data):
    (tmp_path / "notes.json").write_text(json.dumps(data))
    assert not matches_folder(tmp_path)


def test_large_file_whose_images_start_in_the_middle_is_claimed(tmp_path):
    filler = [{"id": number, "image_id": 0, "bbox": [1, 2, 3, 4]} for number in range(3000)]
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in range(3000)]
    data = {"annotations": filler, "images": images, "categories": []}
    (tmp_path / "large.json").write_text(json.dumps(data))
    assert matches_folder(tmp_path)


def test_listed_images_that_are_all_missing_are_refused(tmp_path):
    write_picture(tmp_path / "other.jpg")
    sources.write_coco_file(tmp_path / "all.json", {"x.jpg": [{}]}, categories={1: "a"})
    with pytest.raises(UserError, match=r"x\.jpg is missing"):
        read_source("coco", tmp_path)


@pytest.mark.parametrize(("row", "number"), [({"score": 1.0}, 1), ({"score": None}, 1), ({"score": True}, 1)])
def test_certain_or_empty_score_is_no_model_output(tmp_path, row, number):
    assert len(read_annotation(tmp_path, row).images[0].raw.classes) == number


def test_few_connected_crowds_are_left_out_and_the_option_reads_them(tmp_path):
    crowd = {"segmentation": {"counts": encode_run_lengths(MASK), "size": [80, 96]}, "iscrowd": 1}
    write_dataset(tmp_path, {"x.jpg": [{}, {}, crowd], "y.jpg": [{}] * 4})
    source = read_source("coco", tmp_path)
    assert [len(image.raw.classes) for image in source.images] == [2, 4]
    assert "1 of 7 annotations are crowds (iscrowd), in 1 of 2 images (50%)" in source.remarks[0]
    source = read_source("coco", tmp_path, ReadOptions(crowds="objects"))
    assert [len(image.raw.classes) for image in source.images] == [3, 4]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("id", "image_id", "category_id", "bbox", "segmentation", "keypoints", "iscrowd", "area", "attributes")
ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)).map(
    lambda row: {"image_id": 0, "category_id": 1, **row}
)


@given(st.lists(ROW, max_size=3), JSON, JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_without_an_error(tmp_path, rows, width, name):
    data = {
        "images": [
            {"id": 0, "file_name": "x.jpg", "width": width, "height": 80},
            {"id": 1, "file_name": name},
        ],
        "annotations": [{"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}, *rows],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": name, "keypoints": name}],
    }
    file = tmp_path / "train/_annotations.coco.json"
    if not file.exists():
        write_picture(tmp_path / "train/x.jpg")
    file.write_text(json.dumps(data))
    read = read_source("coco", tmp_path, ReadOptions(first_class=0))
    [image] = [image for image in read.images if image.path.name == "x.jpg"]
    assert len(image.raw.marks) == len(image.raw.classes) == len(image.raw.boxes)
    assert np.isfinite(image.raw.boxes).all()


@pytest.mark.parametrize("spell", [int, float, str, lambda number: f" {number} "])
def test_same_id_as_number_and_as_text_is_one_id(tmp_path, spell):
    write_dataset(tmp_path, {"x.jpg": [{"category_id": 10}, {"category_id": 2}]}, {2: "b", 10: "a"})
    path = tmp_path / "train/_annotations.coco.json"
    data = json.loads(path.read_text())
    for row in data["annotations"]:
        row |= {"category_id": spell(row["category_id"]), "image_id": spell(row["image_id"])}
    path.write_text(json.dumps(data))
    source = read_source("coco", tmp_path)
    assert source.names == ("b", "a")
    assert source.images[0].raw.classes.tolist() == [1, 0]


@pytest.mark.parametrize("spell", [float, str])
def test_categories_are_in_the_order_of_their_ids_in_every_spelling(tmp_path, spell):
    write_dataset(tmp_path, {"x.jpg": [{"category_id": 10}, {"category_id": 2}]}, {10: "a", 2: "b"})
    path = tmp_path / "train/_annotations.coco.json"
    data = json.loads(path.read_text())
    data["categories"] = [row | {"id": spell(row["id"])} for row in data["categories"]]
    path.write_text(json.dumps(data))
    assert read_source("coco", tmp_path).names == ("b", "a")


def test_image_of_a_split_that_a_file_without_a_split_lists_too_is_said_in_words(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    sources.write_coco_file(tmp_path / "train.json", {"x.jpg": [{}]}, categories={1: "a"})
    sources.write_coco_file(tmp_path / "all.json", {"x.jpg": [{}, {}]}, categories={1: "a"})
    write_picture(tmp_path / "images/y.jpg")
    sources.write_coco_file(tmp_path / "test.json", {"y.jpg": [{}]}, categories={1: "a"})
    source = read_source("coco", tmp_path)
    assert list_reasons(source) == ["listed in train and in no split: kept in train alone"]


def test_image_without_file_name_is_named_by_its_url(tmp_path):
    write_picture(tmp_path / "train2017/x.jpg")
    sources.write_coco_file(tmp_path / "lvis_v1_val.json", {"x.jpg": [{}]}, categories={1: "a"})
    path = tmp_path / "lvis_v1_val.json"
    data = json.loads(path.read_text())
    data["images"][0]["coco_url"] = "http://images/" + "train2017/" + data["images"][0].pop("file_name")
    path.write_text(json.dumps(data))
    assert objects_by_image(read_source("coco", tmp_path)) == {"train2017/x.jpg": [("a", 10, 20, 50, 60)]}


@pytest.mark.parametrize(
    ("rotation", "box"),
    [(90.0, (45, 10, 55, 70)), ("90", (45, 10, 55, 70)), (0.0, (20, 35, 80, 45)), (None, (20, 35, 80, 45))],
)
def test_a_box_that_cvat_rotated_is_the_box_around_it(tmp_path, rotation, box):
    row = {"bbox": [20, 35, 60, 10], "segmentation": [], "attributes": {"rotation": rotation}}
    source = read_source("coco", write_dataset(tmp_path, {"x.jpg": [row]}))
    assert objects_by_image(source) == {"train/x.jpg": [("a", *box)]}
    assert len(list_reasons(source)) == (box[0] != 20)


def test_a_rotated_box_with_an_outline_keeps_its_outline(tmp_path):
    ring = [45, 10, 55, 10, 55, 70, 45, 70]
    row = {"bbox": [45, 10, 10, 60], "segmentation": [ring], "attributes": {"rotation": 90.0}}
    source = read_source("coco", write_dataset(tmp_path, {"x.jpg": [row]}))
    assert objects_by_image(source) == {"train/x.jpg": [("a", 45, 10, 55, 70)]}


@pytest.mark.parametrize(
    ("place", "images", "is_noticed"),
    [("annotations", "images", True), ("annotations", "train", True), ("notes", "train", False)],
)
def test_images_beside_the_folder_of_a_file_are_read(tmp_path, place, images, is_noticed):
    write_picture(tmp_path / "d" / images / "x.jpg")
    sources.write_coco_file(tmp_path / "d" / place / "x.json", {"x.jpg": [{}]}, categories={1: "cat"})
    source = read_source("auto", tmp_path / "d" / place / "x.json")
    assert [image.source for image in source.images] == [f"{images}/x.jpg"]
    assert any("changes go unnoticed" in remark for remark in source.remarks) != is_noticed
