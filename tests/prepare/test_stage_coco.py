"""COCO JSON with known answers, the hard cases that supervision gives up on among them."""

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
from pipeline.source.formats.registry import read
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
        ("val/annotations/instances.json", "val/images/x.jpg"),
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


def test_a_negative_extent_is_left_to_the_check_of_boxes(tmp_path):
    write(tmp_path, {"x.jpg": [{"bbox": [50, 60, -40, -40]}]})
    assert read("coco", tmp_path).images[0].raw.boxes.tolist() == [[50, 60, 10, 20]]


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
    assert {defect[:3] for defect in source.defects} == {
        ("train/_annotations.coco.json", "dropped-object", "annotation 77: no image 99"),
        ("gone.jpg", "quarantined", "listed in train/_annotations.coco.json, but there is no such image"),
        ("train/more.jpg", "quarantined", "not listed in any annotation file"),
    }


def test_folders_of_which_no_file_lists_an_image_are_spoken_of(tmp_path):
    write(tmp_path, {"x.jpg": [{}]})
    for name in ("test/a.jpg", "test/b.jpg", "more/deep/c.jpg"):
        picture(tmp_path / name)
    source = read("coco", tmp_path)
    assert source.defects == ()
    assert source.remarks == ("3 images in more/deep/, test/ where no annotation file lists any: left aside",)


def test_one_file_for_all_leaves_the_split_to_the_folders_of_the_images(tmp_path):
    for part in ("train", "val", "extra"):
        picture(tmp_path / f"images/{part}/x.jpg")
    names = {"train/x.jpg": [{}], "val/x.jpg": [{}]}
    sources.coco(tmp_path / "annotations.json", names, categories={1: "a"})
    assert [image.split for image in read("coco", tmp_path).images] == ["train", "val"]
    sources.coco(
        tmp_path / "annotations.json", {"train/x.jpg": [{}], "extra/x.jpg": [{}]}, categories={1: "a"}
    )
    assert [image.split for image in read("coco", tmp_path).images] == [None, None]


def test_what_else_is_said_of_an_image_can_name_its_group(tmp_path):
    write(tmp_path, {"x.jpg": [{}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"][0] |= {"location": 7, "seq_id": "a", "license": 1, "coco_url": "http", "extra": {"a": 1}}
    file.write_text(json.dumps(data))
    assert read("coco", tmp_path).images[0].columns == {"location": "7", "seq_id": "a"}


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


def test_an_image_under_another_suffix_or_in_other_capitals_is_said(tmp_path):
    picture(tmp_path / "train/x.PNG")
    picture(tmp_path / "train/Y.jpg")
    sources.coco(tmp_path / "train/labels.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"})
    source = read("coco", tmp_path)
    assert list(found(source)) == ["train/Y.jpg", "train/x.PNG"]
    assert reasons(source) == ["its annotation calls it y.jpg", "its annotation calls it x.jpg"]


def test_accents_may_be_letters_of_their_own_as_a_mac_spells_them(tmp_path):
    picture(tmp_path / "train" / unicodedata.normalize("NFD", "café.jpg"))
    sources.coco(tmp_path / "train/a.json", {"café.jpg": [{}]}, categories={1: "a"})
    source = read("coco", tmp_path)
    assert (len(source.images), source.defects) == (1, ())
    assert reasons(source) == ["its annotation calls it café.jpg"]


@pytest.mark.parametrize(
    ("width", "size"), [(96.0, (96, 80)), (96.5, None), ("96", None), (float("nan"), None)]
)
def test_a_size_may_be_a_whole_number_with_a_point(tmp_path, width, size):
    write(tmp_path, {"x.jpg": [{}]})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"][0]["width"] = width
    file.write_text(json.dumps(data))
    assert read("coco", tmp_path).images[0].size == size


def test_captions_and_other_json_are_passed_over(tmp_path):
    write(tmp_path, {"x.jpg": [{}]}, file="labels.json")
    (tmp_path / "train/captions.json").write_text(
        json.dumps({"images": [], "categories": [], "annotations": [{"id": 1, "caption": "words"}]})
    )
    (tmp_path / "settings.json").write_text("[1, 2]")
    assert len(read("coco", tmp_path).images) == 1


def test_no_annotations_or_broken_ones_are_refused(tmp_path):
    with pytest.raises(UserError, match="no COCO annotations in"):
        read("coco", tmp_path)
    (tmp_path / "annotations.json").write_text('{"images": [')
    with pytest.raises(UserError, match=r"annotations.json is no JSON .*: mend it or remove it"):
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
        np.testing.assert_allclose(image.raw.boxes, expected.xyxy, rtol=1e-6)
        np.testing.assert_array_equal(image.raw.classes, expected.class_id)


RING = [10, 20, 50, 20, 50, 60, 10, 60]


def shaped(folder, row, **category):
    """Read one annotation; its category may name key points."""
    write(folder, {"x.jpg": [row]})
    file = folder / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["categories"][0] |= category
    if "bbox" in row and row["bbox"] is None:
        del data["annotations"][0]["bbox"]
    file.write_text(json.dumps(data))
    return read("coco", folder)


def test_polygons_of_several_parts(tmp_path):
    source = shaped(tmp_path, {"segmentation": [RING, [1, 1, 9, 1, 5, 9.5]]})
    [parts] = source.images[0].raw.outlines
    assert source.task == "segment"
    assert [part.tolist() for part in parts] == [
        [[10, 20], [50, 20], [50, 60], [10, 60]],
        [[1, 1], [9, 1], [5, 9.5]],
    ]


def test_a_polygon_that_is_not_in_a_list_of_its_own(tmp_path):
    [[part]] = shaped(tmp_path, {"segmentation": RING}).images[0].raw.outlines
    assert part.tolist()[0] == [10, 20]


@pytest.mark.parametrize("bad", [[1, 2, 3], ["x"] * 6, [None] * 6, [1e300] * 6, [float("nan")] * 6, 5, None])
def test_a_part_that_is_no_list_of_points_is_named_and_the_others_stay(tmp_path, bad):
    source = shaped(tmp_path, {"segmentation": [RING, bad]})
    [[part]] = source.images[0].raw.outlines
    assert len(part) == 4
    assert reasons(source) == ["annotation 0: 1 of 2 parts of its outline are no list of points: left out"]


def test_without_a_bbox_the_outline_has_one(tmp_path):
    source = shaped(tmp_path, {"segmentation": [RING], "bbox": None})
    assert source.images[0].raw.boxes.tolist() == [[10, 20, 50, 60]]
    assert reasons(source) == ["annotation 0: no bbox of four numbers: taken from its outline"]


def run_lengths(mask):
    """Encode as COCO does: down the columns, beginning with zeros."""
    flat = mask.ravel(order="F").astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return [0, *runs] if flat[0] else runs


def compressed(runs):
    """Encode run lengths as pycocotools does: differences to the run before the last, five bits a letter."""
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


@pytest.mark.parametrize("encode", [run_lengths, lambda mask: compressed(run_lengths(mask))])
@pytest.mark.parametrize("mask", [MASK, HOLED, np.ones_like(MASK)])
def test_masks_are_outlined_along_the_edges_of_their_pixels(tmp_path, encode, mask):
    source = shaped(tmp_path, {"segmentation": {"counts": encode(mask), "size": [80, 96]}})
    [parts] = source.images[0].raw.outlines
    area = sum(float(shapely.Polygon(part).area) for part in parts)
    holes = 25 if mask is HOLED else 0
    assert area == mask.sum() + holes
    assert source.task == "segment"
    assert reasons(source) == (["annotation 0: 1 hole in its mask is filled"] if holes else [])


def test_compressed_run_lengths_are_those_of_another_library():
    counts = faster_mask.encode(np.asfortranarray(MASK))["counts"].decode()
    assert compressed(run_lengths(MASK)) == counts


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
def test_a_mask_that_cannot_be_decoded_is_named_and_the_box_stays(tmp_path, mask):
    source = shaped(tmp_path, {"segmentation": mask})
    assert found(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    assert source.task == "detect"
    if mask:
        [reason] = reasons(source)
        assert reason.startswith(
            ("annotation 0: its mask cannot be decoded", "annotation 0: its mask is empty")
        )


@pytest.mark.parametrize("encode", [run_lengths, lambda mask: compressed(run_lengths(mask))])
def test_a_mask_of_another_size_than_the_image_is_named_and_the_box_stays(tmp_path, encode):
    source = shaped(tmp_path, {"segmentation": {"counts": encode(MASK), "size": [96, 80]}})
    assert found(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    said = "a size of 80 x 96 pixels, but the image has 96 x 80"
    assert reasons(source) == [f"annotation 0: its mask cannot be decoded ({said}): left out"]


def test_names_that_cannot_be_written_are_spelled_out(tmp_path):
    write(tmp_path, {"x.jpg": [{}]}, {1: "\ud800", 2: "Größe"})
    file = tmp_path / "train/_annotations.coco.json"
    data = json.loads(file.read_text())
    data["images"] += [{"id": 5, "file_name": "\udce9.jpg"}, {"id": 6, "file_name": "/"}]
    data["annotations"][0]["id"] = "\ud800"
    file.write_text(json.dumps(data))
    source = read("coco", tmp_path)
    assert source.names == ("\\ud800", "Größe")
    assert [defect.file for defect in source.defects] == ["\\udce9.jpg", "/"]
    assert source.images[0].raw.marks == ("annotation \\ud800",)


def test_key_points_are_a_pose_and_their_names_tell_left_from_right(tmp_path):
    row = {"keypoints": [20, 30, 2, 40, 30, 1, 0, 0, 0], "num_keypoints": 2}
    source = shaped(tmp_path, row, keypoints=["left_eye", "right_eye", "nose"])
    assert source.task == "pose"
    assert source.keypoints.names == ("left_eye", "right_eye", "nose")
    assert source.keypoints.flip == (1, 0, 2)
    assert source.images[0].raw.keypoints[0].tolist() == [[20, 30, 2], [40, 30, 1], [0, 0, 0]]


def test_key_points_without_names_are_those_of_a_person_or_numbered(tmp_path):
    source = shaped(tmp_path, {"keypoints": [20, 30, 2] * 17})
    assert (source.keypoints.names[0], source.keypoints.flip[1]) == ("nose", 2)
    assert shaped(tmp_path, {"keypoints": [20, 30, 2] * 2}).keypoints.names == ("point_0", "point_1")


def test_a_few_key_points_among_boxes_are_left_aside(tmp_path):
    write(tmp_path, {"x.jpg": [{}, {}, {"keypoints": [20, 30, 2]}], "y.jpg": [{}]})
    source = read("coco", tmp_path)
    assert (source.task, source.keypoints) == ("detect", None)
    assert source.remarks == ("1 of 4 objects have 1 key point: left aside",)


@pytest.mark.parametrize("points", [[1, 2], "x", [None, 1, 2], [1e300, 1, 2], {}])
def test_key_points_that_are_none_leave_the_box(tmp_path, points):
    source = shaped(tmp_path, {"keypoints": points})
    assert found(source) == {"train/x.jpg": [("a", 10, 20, 50, 60)]}
    assert source.task == "detect"


def test_one_kind_of_file_is_read_and_the_others_are_named(tmp_path):
    picture(tmp_path / "images/x.jpg")
    for kind in ("instances", "captions", "person_keypoints"):
        sources.coco(tmp_path / f"annotations/{kind}_train.json", {"x.jpg": [{}]}, categories={1: kind})
    source = read("coco", tmp_path)
    assert source.names == ("instances",)
    assert source.remarks == (
        "not read, since other files describe the objects: annotations/captions_train.json, "
        "annotations/person_keypoints_train.json",
    )


def test_an_image_in_a_folder_of_another_name_is_found_but_never_in_another_split(tmp_path):
    picture(tmp_path / "photos/x.jpg")
    picture(tmp_path / "photos/train/y.jpg")
    sources.coco(
        tmp_path / "annotations/instances_val.json", {"x.jpg": [{}], "y.jpg": [{}]}, categories={1: "a"}
    )
    source = read("coco", tmp_path)
    assert list(found(source)) == ["photos/x.jpg"]
    assert [defect.file for defect in source.defects] == ["y.jpg"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("id", "image_id", "category_id", "bbox", "segmentation", "keypoints", "iscrowd")
ROW = st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, JSON)).map(
    lambda row: {"image_id": 0, "category_id": 1, **row}
)


@given(st.lists(ROW, max_size=3), JSON, JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_is_too_odd(tmp_path, rows, width, name):
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
        picture(tmp_path / "train/x.jpg")
    file.write_text(json.dumps(data))
    [image] = [image for image in read("coco", tmp_path).images if image.path.name == "x.jpg"]
    assert len(image.raw.marks) == len(image.raw.classes) == len(image.raw.boxes)
    assert np.isfinite(image.raw.boxes).all()
