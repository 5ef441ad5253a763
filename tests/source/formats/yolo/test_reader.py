"""YOLO reader: common layouts of datasets, with known answers."""

import itertools
import time
import unicodedata

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.source.reading.file_tree import list_images
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import write_picture

LABEL = "1 0.5 0.5 0.2 0.4\n"


def splits_by_image(source):
    return {image.source: image.split for image in source.images}


def write_pool(folder, text):
    """Write images below pool/images and a data.yaml with the given body."""
    for name in ("one", "two", "three"):
        write_picture(folder / f"pool/images/{name}.jpg")
        (folder / "pool/labels").mkdir(parents=True, exist_ok=True)
        (folder / f"pool/labels/{name}.txt").write_text(LABEL)
    (folder / "data.yaml").write_text(text)
    return folder


def write_splits(folder, *names: str, pattern="images/{}"):
    for name in names:
        place = folder / pattern.format(name)
        write_picture(place / f"{name}.jpg")
        label = folder / pattern.format(name).replace("images", "labels") / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(LABEL)
    return folder


@pytest.mark.parametrize(
    "names", ["[a, b]", "{0: a, 1: b}", "{1: b, 0: a}", "{'0': a, '1': b}", "\n  - a\n  - b\nnc: 2"]
)
def test_names_may_be_a_list_or_a_mapping(tmp_path, names):
    write_splits(tmp_path, "train", "val")
    (tmp_path / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    source = read_source("yolo", tmp_path)
    assert source.names == ("a", "b")
    assert splits_by_image(source) == {"images/train/train.jpg": "train", "images/val/val.jpg": "val"}
    np.testing.assert_allclose(source.images[0].raw.boxes, [[0.4, 0.3, 0.6, 0.7]])
    assert source.images[0].raw.classes.tolist() == [1]
    assert source.images[0].normalized


@pytest.mark.parametrize("key", ["val", "valid", "validation"])
def test_all_keys_for_val_are_read(tmp_path, key):
    write_splits(tmp_path, "train", "other")
    (tmp_path / "data.yaml").write_text(f"train: images/train\n{key}: images/other\nnames: [a, b]\n")
    assert set(splits_by_image(read_source("yolo", tmp_path)).values()) == {"train", "val"}


@pytest.mark.parametrize("path", [".", "", "{here}/set", "set"])
def test_path_may_be_relative_absolute_or_empty(tmp_path, path):
    root = tmp_path / "set" if "set" in path else tmp_path
    write_splits(root, "train", "val")
    path = path.format(here=tmp_path)
    (tmp_path / "data.yaml").write_text(
        f"path: {path}\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    )
    source = read_source("yolo", tmp_path)
    assert {image.path.name: image.split for image in source.images} == {
        "train.jpg": "train",
        "val.jpg": "val",
    }
    assert source.remarks == ()


def test_path_of_another_machine_is_replaced_by_the_folder_of_data_yaml(tmp_path):
    write_splits(tmp_path, "train", "val")
    text = "path: /somewhere/else/set\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert len(read_source("yolo", tmp_path).images) == 2


def test_images_outside_the_source_are_read_with_a_remark(tmp_path):
    write_splits(tmp_path / "elsewhere", "train")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/data.yaml").write_text("path: ../elsewhere\ntrain: images/train\nnames: [a, b]\n")
    source = read_source("yolo", tmp_path / "source")
    assert splits_by_image(source) == {"images/train/train.jpg": "train"}
    assert "images lie outside data.source" in source.remarks[0]


def test_link_in_the_source_to_images_elsewhere_is_no_remark(tmp_path):
    elsewhere = sources.write_yolo_source(tmp_path / "elsewhere", {"a": "0 0.5 0.5 0.2 0.2", "b": ""})
    (tmp_path / "source").mkdir()
    for name in ("images", "labels", "data.yaml"):
        (tmp_path / "source" / name).symlink_to(elsewhere / name)
    assert not [remark for remark in read_source("yolo", tmp_path / "source").remarks if "outside" in remark]


def test_roboflow_paths_that_start_one_level_too_high_are_read(tmp_path):
    write_splits(tmp_path, "train", "valid", pattern="{}/images")
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['a', 'b']\n"
    (tmp_path / "data.yaml").write_text(text)
    source = read_source("yolo", tmp_path)
    assert splits_by_image(source) == {"train/images/train.jpg": "train", "valid/images/valid.jpg": "val"}
    assert source.images[0].raw.classes.tolist() == [1]
    assert source.remarks == ("data.yaml names test: ../test/images, but there are no images",)


@pytest.mark.parametrize(
    "named",
    [
        "/content/set-1/train/images",
        "C:\\sets\\train\\images",
        "../../old/train/images",
        "train\\images",
        ".\\train\\images",
    ],
)
def test_folders_of_another_machine_are_found_without_outer_folders(tmp_path, named):
    write_splits(tmp_path, "train", pattern="{}/images")
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"train": named, "names": ["a", "b"]}))
    assert splits_by_image(read_source("yolo", tmp_path)) == {"train/images/train.jpg": "train"}


def test_images_in_no_split_are_quarantined_and_hidden_files_ignored(tmp_path):
    write_splits(tmp_path, "train", "extra")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [a, b]\n")
    for junk in ("._data.yaml", "images/train/._train.jpg", "labels/train/._train.txt"):
        (tmp_path / junk).write_bytes(b"\0Mac")
    source = read_source("auto", tmp_path)
    assert splits_by_image(source) == {"images/train/train.jpg": "train"}
    assert [defect[:3] for defect in source.defects] == [
        ("images/extra/extra.jpg", "quarantined", "in none of the splits of data.yaml, or of the folders")
    ]


@pytest.mark.parametrize(
    ("text", "kept", "said"),
    [
        ("train: images/a\nval: images/a\n", {"a": "train"}, ["train and val"]),
        (
            "train: images/a\nval: images/a\ntest: images/a\n",
            {"a": "train"},
            ["train and val", "train and test"],
        ),
        ("train: images/a\nval: images/b\ntest: images/b\n", {"a": "train", "b": "test"}, ["test and val"]),
        ("train: images/a\nval: images/b\n", {"a": "train", "b": "val"}, []),
    ],
)
def test_splits_with_the_same_images_become_one(tmp_path, text, kept, said):
    write_splits(tmp_path, *kept)
    (tmp_path / "data.yaml").write_text(f"{text}names: [a, b]\n")
    source = read_source("yolo", tmp_path)
    assert {image.path.stem: image.split for image in source.images} == kept
    assert [note for image in source.images for note in image.notes] == []
    assert [remark.partition(" for ")[2].partition(":")[0] for remark in source.remarks] == said


def test_nc_without_names_numbers_the_classes(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": LABEL}, names=None)
    (tmp_path / "data.yaml").write_text("train: images\nnc: 3\n")
    assert read_source("yolo", tmp_path).names == ("class_0", "class_1", "class_2")


def test_image_lists_of_cvat_with_a_missing_folder_are_read(tmp_path):
    write_splits(tmp_path, "train", pattern="images/{}")
    (tmp_path / "train.txt").write_text("data/images/train/train.jpg\ndata/images/train/gone.jpg\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: train.txt\nnames: {0: a, 1: b}\n")
    assert splits_by_image(read_source("yolo", tmp_path)) == {
        "images/train/train.jpg": "train",
    }
    assert [(defect.file, defect.kind) for defect in read_source("yolo", tmp_path).defects] == [
        ("gone.jpg", "missing-label")
    ]


def test_darknet_obj_data_is_read(tmp_path):
    for name in ("one", "two"):
        write_picture(tmp_path / f"obj_train_data/{name}.jpg")
        (tmp_path / f"obj_train_data/{name}.txt").write_text(LABEL)
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "obj.data").write_text("classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/one.jpg\n")
    (tmp_path / "valid.txt").write_text("data/obj_train_data/two.jpg\n")
    source = read_source("auto", tmp_path)
    assert source.names == ("cat", "dog")
    assert splits_by_image(source) == {"obj_train_data/one.jpg": "train", "obj_train_data/two.jpg": "val"}


@pytest.mark.parametrize("place", ["images/val", "test/images"])
def test_one_split_alone_is_none(tmp_path, place):
    write_picture(tmp_path / place / "one.jpg")
    label = tmp_path / place.replace("images", "labels") / "one.txt"
    label.parent.mkdir(parents=True)
    label.write_text(LABEL)
    source = read_source("yolo", tmp_path)
    assert splits_by_image(source) == {f"{place}/one.jpg": None}
    assert [remark for remark in source.remarks if "no split but" in remark]


def test_darknet_list_that_serves_twice_is_train_alone(tmp_path):
    write_picture(tmp_path / "obj_train_data/one.jpg")
    (tmp_path / "obj_train_data/one.txt").write_text(LABEL)
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "obj.data").write_text("train = data/train.txt\nvalid = data/train.txt\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/one.jpg\n")
    source = read_source("auto", tmp_path)
    assert splits_by_image(source) == {"obj_train_data/one.jpg": "train"}
    assert not source.images[0].notes
    assert len(source.remarks) == 1  # that obj.data names the same images twice


@pytest.mark.parametrize("place", ["", "train"])
def test_images_and_labels_in_one_folder_without_data_yaml_are_read(tmp_path, place):
    write_picture(tmp_path / place / "one.jpg")
    (tmp_path / place / "one.txt").write_text(LABEL)
    source = read_source("auto", tmp_path)
    assert splits_by_image(source) == {f"{place}/one.jpg" if place else "one.jpg": place or None}


def test_image_lists_in_text_files_are_read(tmp_path):
    write_pool(tmp_path, "train: pool/train.txt\nval: [pool/val.txt]\nnames: [a, b]\n")
    (tmp_path / "pool/train.txt").write_text("./images/one.jpg\nimages/two.jpg\n\n")
    (tmp_path / "pool/val.txt").write_text("pool/images/three.jpg\n")
    assert splits_by_image(read_source("yolo", tmp_path)) == {
        "pool/images/one.jpg": "train",
        "pool/images/two.jpg": "train",
        "pool/images/three.jpg": "val",
    }


def test_image_list_with_impossible_file_names_is_read(tmp_path):
    write_pool(tmp_path, "train: pool/train.txt\nnames: [a, b]\n")
    long = "x" * 300 + ".jpg"
    (tmp_path / "pool/train.txt").write_text(f"images/one.jpg\n{long}\n")
    source = read_source("yolo", tmp_path, ReadOptions(unlabelled="background"))
    assert splits_by_image(source) == {"pool/images/one.jpg": "train", long: "train"}
    (tmp_path / "pool/train.txt").write_text("images/one.jpg\n/\n")
    assert list(splits_by_image(read_source("yolo", tmp_path)).values()) == ["train"]
    (tmp_path / "pool/train.txt").write_bytes(b"images/one.jpg\n\0.jpg\n")
    with pytest.raises(UserError, match=r"train\.txt cannot be read as UTF-8 text"):
        read_source("yolo", tmp_path)


def test_one_split_may_have_several_folders(tmp_path):
    write_splits(tmp_path, "first", "second", "val")
    text = "train: [images/first, images/second]\nval: images/val\nnames: [a, b]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert list(splits_by_image(read_source("yolo", tmp_path)).values()) == ["train", "train", "val"]


def test_image_in_two_splits_is_held_out(tmp_path):
    write_pool(tmp_path, "train: pool/images\ntest: pool/test.txt\nnames: [a, b]\n")
    (tmp_path / "pool/test.txt").write_text("images/two.jpg\n")
    source = read_source("yolo", tmp_path)
    two = next(image for image in source.images if image.path.stem == "two")
    assert two.split == "test"
    assert [note.reason for note in two.notes] == ["listed in test and train: kept in test alone"]


@pytest.mark.parametrize("pattern", ["images/{}", "{}/images"])
def test_split_folders_are_read_without_data_yaml(tmp_path, pattern):
    write_splits(tmp_path, "train", "valid", "test", pattern=pattern)
    source = read_source("yolo", tmp_path)
    assert sorted(splits_by_image(source).values()) == ["test", "train", "val"]
    assert source.names == ("class_0", "class_1")
    assert "names no classes" in source.remarks[0]


def test_flat_folder_has_no_split_and_takes_names_from_classes_txt(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": LABEL, "two": ""}, names=None)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    source = read_source("yolo", tmp_path)
    assert splits_by_image(source) == {"images/one.jpg": None, "images/two.jpg": None}
    assert source.names == ("cat", "dog")


def test_roboflow_darknet_export_takes_names_from_its_split_folders(tmp_path):
    for name in ("train", "valid"):
        write_picture(tmp_path / name / f"{name}.jpg")
        (tmp_path / name / f"{name}.txt").write_text(LABEL)
        (tmp_path / name / "_darknet.labels").write_text("cat\r\ndog\r\n")
    source = read_source("auto", tmp_path)
    assert (source.names, source.remarks) == (("cat", "dog"), ())


def test_labels_in_the_image_folder_are_read(tmp_path):
    write_picture(tmp_path / "data/one.jpg")
    (tmp_path / "data/one.txt").write_text(LABEL)
    (tmp_path / "data.yaml").write_text("train: data\nnames: [a, b]\n")
    assert read_source("yolo", tmp_path).images[0].raw.classes.tolist() == [1]


def test_missing_and_orphan_labels_are_reported(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": LABEL, "two": LABEL}, train="images")
    (tmp_path / "labels/two.txt").unlink()
    (tmp_path / "labels/three.txt").write_text(LABEL)
    (tmp_path / "labels/classes.txt").write_text("a\nb\n")
    source = read_source("yolo", tmp_path, ReadOptions(unlabelled="background"))
    assert [note.kind for note in source.images[1].notes] == ["missing-label"]
    assert [(defect.file, defect.kind) for defect in source.defects] == [("labels/three.txt", "orphan-label")]
    assert splits_by_image(read_source("yolo", tmp_path)) == {"images/one.jpg": "train"}


def test_label_with_another_case_or_decomposed_unicode_is_found(tmp_path):
    sources.write_yolo_source(
        tmp_path, dict.fromkeys(("x", "café", "up", "Two", "two", "TWO"), LABEL), names=None
    )
    for name, other in (
        ("x.txt", "X.txt"),
        ("café.txt", unicodedata.normalize("NFD", "café.txt")),
        ("up.txt", "up.TXT"),
        ("two.txt", "tWO.txt"),
    ):
        (tmp_path / "labels" / name).rename(tmp_path / "labels" / other)
    (tmp_path / "labels/Two.txt").unlink()
    source = read_source("yolo", tmp_path)
    labelled = {image.path.stem for image in source.images if len(image.raw.classes)}
    assert labelled == {"x", "café", "up", "TWO"}
    assert "its label file is called X.txt" in [n.reason for i in source.images for n in i.notes]
    orphans = [defect.file for defect in source.defects if defect.kind == "orphan-label"]
    assert orphans == ["labels/tWO.txt"]  # of Two.jpg or of two.jpg


def test_binary_label_is_a_fault_and_a_byte_order_mark_is_not(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": "", "two": ""}, train="images")
    (tmp_path / "labels/one.txt").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "labels/two.txt").write_bytes(b"\xef\xbb\xbf" + LABEL.encode())
    one, two = read_source("yolo", tmp_path).images
    assert one.fault == "its label file labels/one.txt cannot be read as text"
    assert two.raw.classes.tolist() == [1]


OUTLINE = "0 0.1 0.2 0.5 0.3 0.4 0.9\n"
TURNED = "1 0.3 0.2 0.5 0.4 0.4 0.5 0.2 0.3\n"
FOUR = "1 0.3 0.2 0.5 0.4 0.9 0.9 0.2 0.3\n"


def test_outlines_are_read_for_segment(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": OUTLINE + FOUR, "two": ""}, train="images")
    source = read_source("yolo", tmp_path)
    [first], [second] = source.images[0].raw.outlines
    np.testing.assert_allclose(first, [[0.1, 0.2], [0.5, 0.3], [0.4, 0.9]])
    assert len(second) == 4
    np.testing.assert_allclose(source.images[0].raw.boxes, [[0.1, 0.2, 0.5, 0.9], [0.2, 0.2, 0.9, 0.9]])
    assert source.images[1].raw.outlines == ()
    assert (source.task, source.remarks) == ("segment", ())


def test_share_of_boxes_among_outlines_decides_the_task_with_a_remark(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": OUTLINE + LABEL, "two": OUTLINE}, train="images")
    source = read_source("yolo", tmp_path)
    assert source.task == "detect"
    assert source.remarks == ("2 of 3 objects have an outline: read for detect (data.task decides)",)
    assert [len(parts) for parts in source.images[0].raw.outlines] == [1, 0]
    assert read_source("yolo", tmp_path, ReadOptions(task="segment")).task == "segment"
    sources.write_yolo_source(tmp_path, {"two": OUTLINE * 40}, train="images")
    assert read_source("yolo", tmp_path).task == "segment"


@pytest.mark.parametrize(
    ("text", "hint", "task", "why"),
    [
        (TURNED, {}, "obb", "every outline is a rectangle"),
        (FOUR, {}, "segment", None),
        (FOUR, {"path": "../dota8"}, "obb", "the dataset calls itself so"),
        (FOUR, {"task": "obb"}, "obb", "the dataset calls itself so"),
        (FOUR, {"path": "robbery"}, "segment", None),
        (TURNED + OUTLINE, {"task": "obb"}, "segment", None),
        (TURNED + LABEL, {}, "detect", None),
    ],
)
def test_four_corners_are_oriented_boxes_only_with_evidence(tmp_path, text, hint, task, why):
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", **hint)
    source = read_source("yolo", tmp_path)
    assert source.task == task
    said = [remark for remark in source.remarks if "read as oriented" in remark]
    assert said == ([f"read as oriented boxes, because {why} (data.task decides)"] if why else [])
    if task == "obb":
        assert read_source("yolo", tmp_path, ReadOptions(task="segment")).task == "segment"


POSE = "0 0.5 0.5 0.2 0.4 0.5 0.5 2 0.6 0.6 0\n"


def test_pose_has_keypoints_names_and_flip_pairs(tmp_path):
    names = {0: ["left_end", "right_end"]}
    shape = {"kpt_shape": [2, 3], "kpt_names": names}
    sources.write_yolo_source(tmp_path, {"one": POSE + LABEL}, train="images", flip_idx=[1, 0], **shape)
    source = read_source("yolo", tmp_path)
    assert source.task == "pose"
    assert (source.keypoints.names, source.keypoints.flip) == (("left_end", "right_end"), (1, 0))
    full, none = source.images[0].raw.keypoints
    np.testing.assert_allclose(full, [[0.5, 0.5, 2], [0.6, 0.6, 0]])
    assert none.shape == (0, 3)
    np.testing.assert_allclose(source.images[0].raw.boxes, [[0.4, 0.3, 0.6, 0.7]] * 2)
    sources.write_yolo_source(tmp_path, {}, train="images", **shape)
    source = read_source("yolo", tmp_path)
    assert source.keypoints.flip == (1, 0)
    assert source.remarks == ("data.yaml has no flip_idx: left and right are told by the points' names",)


def test_keypoints_without_visibility_are_labelled_unless_at_zero(tmp_path):
    text = "0 0.5 0.5 0.2 0.4 0.5 0.5 0 0\n"
    sources.write_yolo_source(tmp_path, {"one": text}, train="images", kpt_shape=[2, 2], flip_idx=[0, 1])
    source = read_source("yolo", tmp_path)
    np.testing.assert_allclose(source.images[0].raw.keypoints[0], [[0.5, 0.5, 2], [0, 0, 0]])
    assert (source.keypoints.dims, source.remarks) == (2, ())


def test_keypoints_without_flip_pairs_give_a_remark(tmp_path):
    sources.write_yolo_source(
        tmp_path, {"one": POSE}, train="images", kpt_shape=[2, 3], kpt_names=["tip", "end"]
    )
    assert [remark[:19] for remark in read_source("yolo", tmp_path).remarks][1:] == ["no points are named"]


@pytest.mark.fault(10, "kpt_oks_sigmas of data.yaml is ignored without a word")
@pytest.mark.parametrize("sigmas", [[0.05, 0.05], None])
def test_tolerances_of_points_that_are_not_used_are_told(tmp_path, sigmas):
    own = {"kpt_oks_sigmas": sigmas} if sigmas else {}
    shape = {"kpt_shape": [2, 3], "flip_idx": [1, 0]}
    sources.write_yolo_source(tmp_path, {"one": POSE}, train="images", **shape, **own)
    remarks = read_source("yolo", tmp_path).remarks
    assert any(remark.startswith("kpt_oks_sigmas") for remark in remarks) == bool(sigmas)


def test_poses_without_data_yaml_are_recognized_by_their_visibilities(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": POSE}, names=None)
    source = read_source("yolo", tmp_path)
    assert (source.task, source.keypoints.count) == ("pose", 2)
    assert any("kpt_shape" in remark for remark in source.remarks)


def test_extra_values_after_a_box_are_ignored_with_a_remark(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": "0 0.5 0.5 0.2 0.4 90 175 1 50 1\n" * 3}, train="images")
    source = read_source("yolo", tmp_path)
    assert (source.task, source.images[0].raw.classes.tolist()) == ("detect", [0, 0, 0])
    assert source.remarks == ("each line has 5 values after its box: left aside (poses need kpt_shape)",)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kpt_shape: [17]", "kpt_shape in .* is not"),
        ("kpt_shape: [2, 4]", "kpt_shape in .* is not"),
        ("kpt_shape: [1000000000, 3]", "kpt_shape in .* is not"),
        ("kpt_shape: [x, 3]", "kpt_shape in .* is not"),
        ("kpt_shape: 17", "kpt_shape in .* is not"),
        ("kpt_shape: [2, 3]\nflip_idx: [0, 0]", "not a permutation of 0 to 1"),
        ("kpt_shape: [2, 3]\nflip_idx: [1, x]", "not a permutation of 0 to 1"),
        ("kpt_shape: [2, 3]\nflip_idx: 3", "not a permutation of 0 to 1"),
    ],
)
def test_invalid_keypoint_settings_are_refused(tmp_path, text, sentence):
    sources.write_yolo_source(tmp_path, {"one": POSE}, names=None)
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: [a]\n{text}\n")
    with pytest.raises(UserError, match=sentence):
        read_source("yolo", tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: images\nnames: [a]\ndownload: bash get.sh\n", "`download:` entry"),
        ("train: images\nnames: [a]\ndownload: https://example.org/x.zip; rm -r x\n", "`download:` entry"),
        ("train: images\nnames: [a]\ndownload: [https://example.org/x.zip]\n", "`download:` entry"),
        ("train: images\nnames: !!bool x\n", "cannot be read as plain YAML"),
        ("train: images\nnames: 2001-99-99\n", "cannot be read as plain YAML"),
        ("[" * 1500, "cannot be read as plain YAML"),
        ("train: images\nnc: 1000000000\n", "states nc: 1000000000"),
        ("train: images\nnc: -1\n", "states nc: -1"),
        ("train: images/" + "x" * 5000 + "\nnames: [a]\n", "no images in"),
        ("train: images\nnames: [a]\ndownload: |\n  import os\n", "would run as code"),
        ("train: !!python/object/apply:os.system [id]\nnames: [a]\n", "cannot be read as plain YAML"),
        ("train: [images\n", "cannot be read as plain YAML"),
        ("just text", "is not a data YAML"),
        ("train: images\nnames: {0: a, 2: b}\n", "the keys of names in .* are not 0 to 1"),
        ("train: images\nnames: [a, b]\nnc: 3\n", "states nc: 3, but names has 2 classes"),
        ("train: images\nnames: a\n", "names in .* are not a list or a mapping of texts"),
        ("train: images\nnames: [a, a]\n", "two classes of .* are called 'a'"),
        ("train: {x: y}\nnames: [a]\n", "neither a folder, nor a .txt file, nor a list"),
        ("train: &x [images, *x]\nnames: [a]\n", "cannot be read as plain YAML"),
        ("train: images\nnames: &x [a, *x]\n", "cannot be read as plain YAML"),
        ("train: nowhere\nnames: [a]\n", "no images in"),
        ("train: /\nnames: [a]\n", "states / as the folder of images, but the dataset is inside"),
        ("path: ../..\ntrain: .\nnames: [a]\n", "but the dataset is inside that folder"),
    ],
)
def test_unusable_data_yaml_is_refused_in_one_sentence(tmp_path, text, sentence):
    sources.write_yolo_source(tmp_path, {"one": LABEL}, names=None)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence) as refused:
        read_source("yolo", tmp_path)
    assert "\n" not in str(refused.value)


def test_download_address_is_not_used(tmp_path):
    url = "https://example.org/x.zip"
    sources.write_yolo_source(tmp_path, {"one": LABEL}, train="images", download=url)
    assert read_source("yolo", tmp_path).remarks == (
        "data.yaml names an address to download from, which was not asked",
    )


def test_empty_download_entry_is_ignored(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": LABEL}, train="images", download=None)
    assert len(read_source("yolo", tmp_path).images) == 1


def test_several_yaml_files_are_refused(tmp_path):
    sources.write_yolo_source(tmp_path, {"one": LABEL}, names=None)
    for name in ("x.yaml", "y.yml"):
        (tmp_path / name).write_text("train: images\nnames: [a, b]\n")
    with pytest.raises(UserError, match="several YAML files"):
        read_source("yolo", tmp_path)
    (tmp_path / "x.yaml").rename(tmp_path / "data.yaml")
    assert read_source("yolo", tmp_path).names == ("a", "b")


def test_missing_folder_and_folder_without_labels_are_refused(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        read_source("yolo", tmp_path / "nowhere")
    with pytest.raises(UserError, match="no images in"):
        read_source("yolo", tmp_path)
    write_picture(tmp_path / "images/one.jpg")
    with pytest.raises(UserError, match=r"no label files .* expected labels/one.txt"):
        read_source("yolo", tmp_path)


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + inner] * 9)}]\n" for inner, name in itertools.pairwise("abcdef")
)
LONG = "0x" + "f" * 5000


@pytest.mark.parametrize(
    "text",
    [
        "kpt_shape: [2, 3]\nkpt_names: [*f, x]\nnames: [a]\n",
        "kpt_shape: [2, 3]\nkpt_names: {0: [*f, x]}\nnames: [a]\n",
        "kpt_shape: [2, 3]\nkpt_names: !!pairs [a: *f, b: *f]\nnames: [a]\n",
        "names: !!pairs [a: *f]\n",
        "names: [*f]\n",
        "path: *f\nnames: [a]\n",
        f"names: [{LONG}]\n",
        f"names:\n  ? {LONG}\n  : a\n",
        f"nc: {LONG}\nnames: [a]\n",
        f"path: {LONG}\nnames: [a]\n",
    ],
)
def test_yaml_that_expands_beyond_memory_is_refused(tmp_path, text):
    sources.write_yolo_source(tmp_path, {"one": LABEL}, names=None)
    (tmp_path / "data.yaml").write_text(f"{BOMB}train: images\n{text}")
    begun = time.process_time()
    with pytest.raises(UserError, match="correct"):
        read_source("yolo", tmp_path)
    assert time.process_time() - begun < 0.5


def test_folders_linked_into_each_other_are_walked_once(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        write_picture(tmp_path / name / f"{name}.jpg")
        (tmp_path / name / "p").symlink_to(tmp_path / other)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = {path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)}
    assert found == {"a/a.jpg", "a/p/b.jpg", "b/b.jpg", "b/p/a.jpg"}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["images", "../images", "a", "", "/"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 2) | st.just("x"), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = (
    "path",
    "train",
    "val",
    "test",
    "names",
    "nc",
    "kpt_shape",
    "kpt_names",
    "flip_idx",
    "task",
    "download",
)
TEXTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6).map(yaml.safe_dump) | st.text(max_size=40)


@given(TEXTS.filter(lambda text: "\ud800" not in ascii(text)))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_data_yaml_is_read_or_refused(tmp_path, text):
    if not (tmp_path / "set").exists():
        sources.write_yolo_source(tmp_path / "set", {"one": LABEL}, names=None)
    (tmp_path / "set/data.yaml").write_text(text, encoding="utf-8", errors="replace")
    try:
        source = read_source("yolo", tmp_path / "set")
    except UserError:
        return
    assert len(source.images[0].raw.marks) <= 1
