"""YOLO datasets in the forms that people have, with known answers."""

import numpy as np
import pytest

from pipeline.core.refusal import Refused
from pipeline.edges.datasets import read
from tests import sources
from tests.sources import picture

LABEL = "1 0.5 0.5 0.2 0.4\n"


def splits(source):
    return {image.source: image.split for image in source.images}


def lists(folder, text):
    """Write images below pool/images and a data.yaml with the given body."""
    for name in ("one", "two", "three"):
        picture(folder / f"pool/images/{name}.jpg")
        (folder / "pool/labels").mkdir(parents=True, exist_ok=True)
        (folder / f"pool/labels/{name}.txt").write_text(LABEL)
    (folder / "data.yaml").write_text(text)
    return folder


def parts(folder, *names: str, pattern="images/{}"):
    for name in names:
        place = folder / pattern.format(name)
        picture(place / f"{name}.jpg")
        label = folder / pattern.format(name).replace("images", "labels") / f"{name}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(LABEL)
    return folder


@pytest.mark.parametrize(
    "names", ["[a, b]", "{0: a, 1: b}", "{1: b, 0: a}", "{'0': a, '1': b}", "\n  - a\n  - b\nnc: 2"]
)
def test_names_as_list_or_mapping(tmp_path, names):
    parts(tmp_path, "train", "val")
    (tmp_path / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    source = read("yolo", tmp_path)
    assert source.names == ("a", "b")
    assert splits(source) == {"images/train/train.jpg": "train", "images/val/val.jpg": "val"}
    np.testing.assert_allclose(source.images[0].raw.boxes, [[0.4, 0.3, 0.6, 0.7]])
    assert source.images[0].raw.classes.tolist() == [1]
    assert source.images[0].scaled


@pytest.mark.parametrize("key", ["val", "valid", "validation"])
def test_every_word_for_val(tmp_path, key):
    parts(tmp_path, "train", "other")
    (tmp_path / "data.yaml").write_text(f"train: images/train\n{key}: images/other\nnames: [a, b]\n")
    assert set(splits(read("yolo", tmp_path)).values()) == {"train", "val"}


@pytest.mark.parametrize("path", [".", "", "{here}/set", "set"])
def test_path_relative_absolute_or_empty(tmp_path, path):
    root = tmp_path / "set" if "set" in path else tmp_path
    parts(root, "train", "val")
    path = path.format(here=tmp_path)
    (tmp_path / "data.yaml").write_text(
        f"path: {path}\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    )
    source = read("yolo", tmp_path)
    assert {image.path.name: image.split for image in source.images} == {
        "train.jpg": "train",
        "val.jpg": "val",
    }
    assert source.remarks == ()


def test_a_path_from_another_machine_falls_back_to_the_file_s_own_folder(tmp_path):
    parts(tmp_path, "train", "val")
    text = "path: /somewhere/else/set\ntrain: images/train\nval: images/val\nnames: [a, b]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert len(read("yolo", tmp_path).images) == 2


def test_images_outside_the_source_are_read_and_remarked_upon(tmp_path):
    parts(tmp_path / "elsewhere", "train")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/data.yaml").write_text("path: ../elsewhere\ntrain: images/train\nnames: [a, b]\n")
    source = read("yolo", tmp_path / "source")
    assert splits(source) == {"images/train/train.jpg": "train"}
    assert "images lie outside data.source" in source.remarks[0]


def test_roboflow_s_paths_one_level_too_high(tmp_path):
    parts(tmp_path, "train", "valid", pattern="{}/images")
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 2\nnames: ['a', 'b']\n"
    (tmp_path / "data.yaml").write_text(text)
    source = read("yolo", tmp_path)
    assert splits(source) == {"train/images/train.jpg": "train", "valid/images/valid.jpg": "val"}
    assert source.images[0].raw.classes.tolist() == [1]
    assert source.remarks == ("data.yaml names test: ../test/images, but there are no images",)


def test_lists_of_images_in_text_files(tmp_path):
    lists(tmp_path, "train: pool/train.txt\nval: [pool/val.txt]\nnames: [a, b]\n")
    (tmp_path / "pool/train.txt").write_text("./images/one.jpg\nimages/two.jpg\n\n")
    (tmp_path / "pool/val.txt").write_text("pool/images/three.jpg\n")
    assert splits(read("yolo", tmp_path)) == {
        "pool/images/one.jpg": "train",
        "pool/images/two.jpg": "train",
        "pool/images/three.jpg": "val",
    }


def test_several_folders_for_one_split(tmp_path):
    parts(tmp_path, "first", "second", "val")
    text = "train: [images/first, images/second]\nval: images/val\nnames: [a, b]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert list(splits(read("yolo", tmp_path)).values()) == ["train", "train", "val"]


def test_an_image_of_two_splits_is_held_out(tmp_path):
    lists(tmp_path, "train: pool/images\ntest: pool/test.txt\nnames: [a, b]\n")
    (tmp_path / "pool/test.txt").write_text("images/two.jpg\n")
    source = read("yolo", tmp_path)
    two = next(image for image in source.images if image.path.stem == "two")
    assert two.split == "test"
    assert [note.reason for note in two.notes] == ["listed in test and train: kept in test alone"]


@pytest.mark.parametrize("pattern", ["images/{}", "{}/images"])
def test_without_a_data_yaml_folders_tell(tmp_path, pattern):
    parts(tmp_path, "train", "valid", "test", pattern=pattern)
    source = read("yolo", tmp_path)
    assert sorted(splits(source).values()) == ["test", "train", "val"]
    assert source.names == ("class_0", "class_1")
    assert "names no classes" in source.remarks[0]


def test_a_flat_folder_has_no_split_and_takes_names_from_classes_txt(tmp_path):
    sources.yolo(tmp_path, {"one": LABEL, "two": ""}, names=None)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    source = read("yolo", tmp_path)
    assert splits(source) == {"images/one.jpg": None, "images/two.jpg": None}
    assert source.names == ("cat", "dog")


def test_labels_beside_the_images(tmp_path):
    picture(tmp_path / "data/one.jpg")
    (tmp_path / "data/one.txt").write_text(LABEL)
    (tmp_path / "data.yaml").write_text("train: data\nnames: [a, b]\n")
    assert read("yolo", tmp_path).images[0].raw.classes.tolist() == [1]


def test_missing_and_orphan_labels_are_named(tmp_path):
    sources.yolo(tmp_path, {"one": LABEL, "two": LABEL}, train="images")
    (tmp_path / "labels/two.txt").unlink()
    (tmp_path / "labels/three.txt").write_text(LABEL)
    (tmp_path / "labels/classes.txt").write_text("a\nb\n")
    source = read("yolo", tmp_path)
    assert [note.reason for note in source.images[1].notes] == [
        "no label file: taken as an image without objects"
    ]
    assert source.defects == (("labels/three.txt", "quarantined", "a label file without an image"),)


def test_a_label_that_is_no_text_is_a_fault_and_a_byte_order_mark_is_none(tmp_path):
    sources.yolo(tmp_path, {"one": "", "two": ""}, train="images")
    (tmp_path / "labels/one.txt").write_bytes(b"\xff\xfe\x00\x80")
    (tmp_path / "labels/two.txt").write_bytes(b"\xef\xbb\xbf" + LABEL.encode())
    one, two = read("yolo", tmp_path).images
    assert one.fault == "its label file labels/one.txt cannot be read as text"
    assert two.raw.classes.tolist() == [1]


def test_outlines_become_boxes_and_it_is_said(tmp_path):
    sources.yolo(tmp_path, {"one": "0 0.1 0.2 0.5 0.3 0.4 0.9\n"}, train="images")
    source = read("yolo", tmp_path)
    np.testing.assert_allclose(source.images[0].raw.boxes, [[0.1, 0.2, 0.5, 0.9]])
    assert source.remarks == ("1 outlines (segmentation) were turned into boxes",)


def test_key_points_are_left_aside(tmp_path):
    text = "0 0.5 0.5 0.2 0.4 0.5 0.5 0.6 0.6\n"
    sources.yolo(tmp_path, {"one": text}, train="images", kpt_shape=[2, 2])
    np.testing.assert_allclose(read("yolo", tmp_path).images[0].raw.boxes, [[0.4, 0.3, 0.6, 0.7]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("train: images\nnames: [a]\ndownload: https://example.org/x.zip\n", "`download:` entry"),
        ("train: images\nnames: [a]\ndownload: |\n  import os\n", "would run as code"),
        ("train: !!python/object/apply:os.system [id]\nnames: [a]\n", "cannot be read as plain YAML"),
        ("train: [images\n", "cannot be read as plain YAML"),
        ("just text", "is no data YAML"),
        ("train: images\nnames: {0: a, 2: b}\n", "numbers its names otherwise than 0 to 1"),
        ("train: images\nnames: [a, b]\nnc: 3\n", "says nc: 3, but names 2 classes"),
        ("train: images\nnames: a\n", "neither a list nor a mapping of plain words"),
        ("train: images\nnames: [a, a]\n", "two classes of .* are called 'a'"),
        ("train: {x: y}\nnames: [a]\n", "neither a folder, nor a .txt file, nor a list"),
        ("train: &x [images, *x]\nnames: [a]\n", "neither a folder, nor a .txt file, nor a list"),
        ("train: images\nnames: &x [a, *x]\n", "neither a list nor a mapping of plain words"),
        ("train: nowhere\nnames: [a]\n", "no images in"),
    ],
)
def test_a_data_yaml_that_cannot_be_used_is_refused_in_one_sentence(tmp_path, text, sentence):
    sources.yolo(tmp_path, {"one": LABEL}, names=None)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(Refused, match=sentence) as refused:
        read("yolo", tmp_path)
    assert "\n" not in str(refused.value)


def test_an_empty_download_entry_is_no_harm(tmp_path):
    sources.yolo(tmp_path, {"one": LABEL}, train="images", download=None)
    assert len(read("yolo", tmp_path).images) == 1


def test_several_data_yamls_are_refused(tmp_path):
    sources.yolo(tmp_path, {"one": LABEL}, names=None)
    for name in ("x.yaml", "y.yml"):
        (tmp_path / name).write_text("train: images\nnames: [a, b]\n")
    with pytest.raises(Refused, match="several YAML files"):
        read("yolo", tmp_path)
    (tmp_path / "x.yaml").rename(tmp_path / "data.yaml")
    assert read("yolo", tmp_path).names == ("a", "b")


def test_a_folder_that_is_not_there_or_without_labels_is_refused(tmp_path):
    with pytest.raises(Refused, match="is not a folder"):
        read("yolo", tmp_path / "nowhere")
    with pytest.raises(Refused, match="no images in"):
        read("yolo", tmp_path)
    picture(tmp_path / "images/one.jpg")
    with pytest.raises(Refused, match=r"no label files .* expected labels/one.txt"):
        read("yolo", tmp_path)
