"""Layouts of YOLO datasets: folders of any name are paired by content, and what is missing is named."""

import shutil

import pytest

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import read_source, recognize_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import write_picture

LABEL = "1 0.5 0.5 0.2 0.4\n"


def write_pair(images, labels, names=("x", "y", "z"), text=LABEL):
    """Write images into one folder and their label files into another."""
    labels.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_picture(images / f"{name}.jpg")
        (labels / f"{name}.txt").write_text(text)


def get_splits(source):
    return {image.source: image.split for image in source.images}


def count_objects(source):
    return sum(len(image.raw.classes) for image in source.images)


@pytest.mark.parametrize("with_yaml", [True, False])
@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("Train/Images", "Train/Labels"),
        ("TRAIN/IMAGES", "TRAIN/LABELS"),
        ("train/image", "train/label"),
        ("train/imgs", "train/labels"),
        ("images/train", "Labels/train"),
        ("imgs/train", "txt/train"),
        ("pictures/train", "yolo/train"),
        ("train/JPEGImages", "train/annotations"),
    ],
)
def test_folders_of_images_and_labels_are_paired_by_content(tmp_path, images, labels, with_yaml):
    write_pair(tmp_path / images, tmp_path / labels)
    if with_yaml:
        (tmp_path / "data.yaml").write_text(f"train: {images}\nnames: [a, b]\n")
    found = recognize_source("auto", tmp_path)
    assert found.form == "yolo"
    assert get_splits(found.source) == {f"{images}/{name}.jpg": "train" for name in "xyz"}
    assert count_objects(found.source) == 3
    assert not found.source.defects


@pytest.mark.parametrize(
    ("images", "labels"), [("image", "label"), ("imgs", "gt"), ("photos", "labels"), ("Images", "Labels")]
)
def test_sibling_folders_without_split_are_read(tmp_path, images, labels):
    write_pair(tmp_path / images, tmp_path / labels)
    source = read_source("auto", tmp_path)
    assert get_splits(source) == {f"{images}/{name}.jpg": None for name in "xyz"}
    assert count_objects(source) == 3


def test_labels_below_the_folder_of_images_are_found(tmp_path):
    write_pair(tmp_path / "images", tmp_path / "images/labels")
    assert count_objects(read_source("auto", tmp_path)) == 3


def test_names_that_two_splits_share_stay_apart(tmp_path):
    write_pair(tmp_path / "imgs/train", tmp_path / "lbls/train", text=LABEL)
    write_pair(tmp_path / "imgs/val", tmp_path / "lbls/val", text=LABEL * 2)
    source = read_source("auto", tmp_path)
    counts = {image.source: (image.split, len(image.raw.classes)) for image in source.images}
    assert counts == {f"imgs/train/{n}.jpg": ("train", 1) for n in "xyz"} | {
        f"imgs/val/{n}.jpg": ("val", 2) for n in "xyz"
    }


def test_two_folders_of_labels_for_the_same_images_are_told_apart_by_name(tmp_path):
    write_pair(tmp_path / "pictures", tmp_path / "labels", text=LABEL)
    write_pair(tmp_path / "pictures", tmp_path / "labels_old", text=LABEL * 2)
    assert count_objects(read_source("auto", tmp_path)) == 3


@pytest.mark.parametrize("folder", ["validate", "validation", "val", "eval", "dev", "Valid"])
def test_split_folder_with_another_word_than_data_yaml_is_found(tmp_path, folder):
    write_pair(tmp_path / "train/images", tmp_path / "train/labels")
    write_pair(tmp_path / folder / "images", tmp_path / folder / "labels", ("v", "w"))
    (tmp_path / folder / "labels/orphan.txt").write_text(LABEL)
    text = "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [a, b]\n"
    (tmp_path / "data.yaml").write_text(text)
    source = read_source("auto", tmp_path)
    splits = get_splits(source)
    assert [splits[f"{folder}/images/{name}.jpg"] for name in "vw"] == ["val", "val"]
    assert [(d.file, d.kind) for d in source.defects] == [(f"{folder}/labels/orphan.txt", "orphan-label")]
    assert any(f"{folder}/images is taken" in remark for remark in source.remarks)


def test_testing_stands_for_test(tmp_path):
    write_pair(tmp_path / "train/images", tmp_path / "train/labels")
    write_pair(tmp_path / "testing/images", tmp_path / "testing/labels", ("v",))
    (tmp_path / "data.yaml").write_text("train: train/images\ntest: test/images\nnames: [a, b]\n")
    assert get_splits(read_source("auto", tmp_path))["testing/images/v.jpg"] == "test"


def test_labels_of_a_folder_without_images_are_orphans(tmp_path):
    write_pair(tmp_path / "train/images", tmp_path / "train/labels")
    write_pair(tmp_path / "val/images", tmp_path / "val/labels", ("v",))
    shutil.rmtree(tmp_path / "val/images")
    (tmp_path / "data.yaml").write_text("train: train/images\nval: val/images\nnames: [a, b]\n")
    source = read_source("auto", tmp_path)
    assert [(d.file, d.kind) for d in source.defects] == [("val/labels/v.txt", "orphan-label")]


@pytest.mark.parametrize("prefixed", ["labels", "images"])
@pytest.mark.parametrize("notes", [True, False])
def test_upload_prefix_of_label_studio_does_not_matter(tmp_path, prefixed, notes):
    for number in range(4):
        names = {"images": f"photo_{number}", "labels": f"photo_{number}"}
        names[prefixed] = f"ab12cd0{number}-photo_{number}"
        write_picture(tmp_path / f"images/{names['images']}.jpg")
        (tmp_path / "labels").mkdir(exist_ok=True)
        (tmp_path / f"labels/{names['labels']}.txt").write_text(f"0 0.5 0.5 0.{number + 1} 0.4\n")
    if notes:
        (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "car"}], "info": {}}')
    found = recognize_source("auto", tmp_path)
    assert found.form == "yolo"
    widths = [image.raw.boxes[0, 2] - image.raw.boxes[0, 0] for image in found.source.images]
    assert [round(width, 6) for width in widths] == [0.1, 0.2, 0.3, 0.4]
    assert not found.source.defects


def test_upload_prefix_that_does_not_make_names_unique_is_kept(tmp_path):
    write_picture(tmp_path / "images/photo.jpg")
    write_pair(tmp_path / "images", tmp_path / "labels", ("other",))
    for prefix in ("ab12cd00", "ab12cd01"):
        (tmp_path / f"labels/{prefix}-photo.txt").write_text(LABEL)
    source = read_source("yolo", tmp_path, ReadOptions(unlabelled="background"))
    assert count_objects(source) == 1
    assert len(source.defects) == 2


@pytest.mark.parametrize("notes", [True, False])
def test_labels_without_images_are_named(tmp_path, notes):
    sources.write_yolo_source(tmp_path, {"ab12cd00-x": LABEL}, names=None)
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "classes.txt").write_text("car\nvan\n")
    if notes:
        (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "car"}], "info": {}}')
    with pytest.raises(UserError, match=r"labels without images: 1 label file .*labels/ab12cd00-x\.txt"):
        read_source("auto", tmp_path)


def test_list_of_images_that_are_not_there_is_named(tmp_path):
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/x.txt").write_text(LABEL)
    (tmp_path / "train.txt").write_text("data/images/train/x.jpg\n")
    (tmp_path / "data.yaml").write_text("path: .\ntrain: train.txt\nnames: {0: car, 1: van}\n")
    with pytest.raises(UserError, match=r"labels without images: .*labels/train/x\.txt.* names x\.jpg"):
        read_source("auto", tmp_path)


def test_two_datasets_side_by_side_are_not_mixed(tmp_path):
    for name in "AB":
        write_pair(tmp_path / name / "images", tmp_path / name / "labels", (f"{name}1", f"{name}2"))
    with pytest.raises(UserError, match=r"A/ \(yolo\), B/ \(yolo\)"):
        read_source("auto", tmp_path)


def test_image_lists_of_another_machine_in_capital_folders_are_read(tmp_path):
    write_pair(tmp_path / "Images", tmp_path / "labels")
    (tmp_path / "ImageSets").mkdir()
    (tmp_path / "ImageSets/train.txt").write_text("H:/sets/bot/Images/x.jpg\nH:/sets/bot/Images/y.jpg\n")
    (tmp_path / "ImageSets/val.txt").write_text("H:/sets/bot/Images/z.jpg\n")
    lists = "train: H:/sets/bot/ImageSets/train.txt\nval: H:/sets/bot/ImageSets/val.txt\n"
    (tmp_path / "bot.yaml").write_text(f"{lists}nc: 2\nnames: [a, b]\n")
    source = read_source("auto", tmp_path)
    assert get_splits(source) == {"Images/x.jpg": "train", "Images/y.jpg": "train", "Images/z.jpg": "val"}
    assert count_objects(source) == 3


def test_images_that_share_a_label_file_are_named(tmp_path):
    sources.write_yolo_source(tmp_path, {"x": LABEL, "y": LABEL}, train="images")
    write_picture(tmp_path / "images/x.png")
    source = read_source("yolo", tmp_path)
    assert count_objects(source) == 3
    [remark] = source.remarks
    assert "images/x.jpg and images/x.png" in remark


class TestPathsOfDataYaml:
    """data.yaml names paths that do not exist: the refusal names them, and those that exist."""

    def test_folder_too_few(self, tmp_path):
        write_pair(tmp_path / "ds/train/images", tmp_path / "ds/train/labels")
        (tmp_path / "custom.yaml").write_text("path: ./\ntrain: train/images\nnames: [a, b]\n")
        with pytest.raises(UserError) as refused:
            read_source("auto", tmp_path)
        assert f"{tmp_path / 'train/images'} does not exist" in str(refused.value)
        assert "ds/train/images exists" in str(refused.value)

    @pytest.mark.parametrize("quote", ["'", '"', " '"])
    def test_stray_quote(self, tmp_path, quote):
        write_pair(tmp_path / "combined/images/part", tmp_path / "combined/labels/part")
        stated = f"./combined/images/part{quote}"
        (tmp_path / "dp.yaml").write_text(f"path: 'C:/project/data'\ntrain: {stated}\nnames: [a, b]\n")
        with pytest.raises(UserError) as refused:
            read_source("auto", tmp_path)
        assert f"part{quote}" in str(refused.value)
        assert "combined/images/part exists" in str(refused.value)

    @pytest.mark.parametrize("named", ["", "mydata.yaml"])
    def test_relative_to_another_folder(self, tmp_path, named):
        write_pair(tmp_path / "datasets/my/images/train", tmp_path / "datasets/my/labels/train")
        file = tmp_path / "yolov5/data/mydata.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("path: ../datasets/my\ntrain: images/train\nnames: [a, b]\n")
        with pytest.raises(UserError) as refused:
            read_source("auto", file.parent / named)
        assert f"{tmp_path / 'yolov5/datasets/my/images/train'} does not exist" in str(refused.value)
        assert f"{tmp_path / 'datasets/my/images/train'} exists" in str(refused.value)

    def test_folder_without_images(self, tmp_path):
        write_pair(tmp_path / "other/images", tmp_path / "other/labels")
        (tmp_path / "train/images").mkdir(parents=True)
        (tmp_path / "data.yaml").write_text("train: train/images\nnames: [a, b]\n")
        with pytest.raises(UserError, match=r"train/images holds no images; other/images exists"):
            read_source("yolo", tmp_path)

    def test_images_without_labels(self, tmp_path):
        write_picture(tmp_path / "images/x.jpg")
        write_pair(tmp_path / "spare/images", tmp_path / "spare/labels", ("u",))
        (tmp_path / "data.yaml").write_text("train: images\nnames: [a, b]\n")
        with pytest.raises(
            UserError, match=r"no label files .* labels/x\.txt; 1 label file .*spare/labels/u"
        ):
            read_source("yolo", tmp_path)


def test_data_yaml_may_be_the_source(tmp_path):
    write_pair(tmp_path / "images", tmp_path / "labels")
    for name, classes in (("one.yaml", "[a, b]"), ("two.yaml", "[c, d]")):
        (tmp_path / name).write_text(f"train: images\nnames: {classes}\n")
    with pytest.raises(UserError, match="several YAML files"):
        read_source("auto", tmp_path)
    found = recognize_source("auto", tmp_path / "two.yaml")
    assert (found.form, found.source.names) == ("yolo", ("c", "d"))
    assert get_splits(found.source) == {f"images/{name}.jpg": "train" for name in "xyz"}
    with pytest.raises(UserError, match="read as yolo, but"):
        read_source("voc", tmp_path / "two.yaml")


def test_other_file_is_no_source(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n")
    with pytest.raises(UserError, match="neither a folder"):
        read_source("auto", tmp_path / "x.csv")


def test_lists_beside_the_folders_are_splits(tmp_path):
    sources.write_yolo_source(tmp_path, dict.fromkeys("abc", "0 0.5 0.5 0.2 0.4\n"), names=None)
    for split, name in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"{split}.txt").write_text(f"data/images/{name}.jpg\n")
    assert [image.split for image in read_source("auto", tmp_path).images] == ["train", "val", "test"]
    (tmp_path / "data.yaml").write_text("names: [cat]\n")
    assert [image.split for image in read_source("auto", tmp_path).images] == ["train", "val", "test"]


def test_keys_of_a_data_yaml_may_begin_with_capitals(tmp_path):
    sources.write_yolo_source(tmp_path, dict.fromkeys("abc", "0 0.5 0.5 0.2 0.4\n"), names=None)
    keys = {"Test": "c", "Validation": "b", "train": "a"}
    for key, name in keys.items():
        (tmp_path / f"{key}.txt").write_text(f"images/{name}.jpg\n")
    text = "".join(f"{key}: {key}.txt\n" for key in keys)
    (tmp_path / "data.yaml").write_text(f"{text}names: [cat]\n")
    source = read_source("auto", tmp_path)
    assert [image.split for image in source.images] == ["train", "val", "test"]


def test_labels_with_percent_encoded_names_belong_to_their_images(tmp_path):
    for name in ("caf\u00e9 1", "plain", "empty"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "labels").mkdir()
    for name, text in (
        ("caf%C3%A9%201", "0 0.5 0.5 0.2 0.4\n"),
        ("plain", "0 0.5 0.5 0.2 0.4\n"),
        ("empty", ""),
    ):
        (tmp_path / "labels" / f"{name}.txt").write_text(text)
    (tmp_path / "classes.txt").write_text("cat\n")
    source = read_source("auto", tmp_path)
    assert {image.path.stem: len(image.raw.classes) for image in source.images} == {
        "caf\u00e9 1": 1,
        "plain": 1,
        "empty": 0,
    }
    assert source.defects == ()


class TestEmptyLabelsFirst:
    """Label files of images without objects come first: the dataset is recognized by the others."""

    @pytest.mark.parametrize(
        ("images", "labels"),
        [("images", "labels"), ("images/train", "labels/train"), ("imgs", "txt"), (".", ".")],
    )
    @pytest.mark.parametrize("empty", ["", "\n"])
    def test_in_one_folder(self, tmp_path, images, labels, empty):
        names = [f"a{number:02}" for number in range(60)]
        write_pair(tmp_path / images, tmp_path / labels, names, text=empty)
        write_pair(tmp_path / images, tmp_path / labels, ["z"])
        found = recognize_source("auto", tmp_path)
        assert (found.form, len(found.source.images), count_objects(found.source)) == ("yolo", 61, 1)

    def test_in_one_split(self, tmp_path):
        names = [f"a{number:02}" for number in range(60)]
        write_pair(tmp_path / "images/train", tmp_path / "labels/train", names, text="")
        write_pair(tmp_path / "images/val", tmp_path / "labels/val", ["z"])
        assert recognize_source("auto", tmp_path).form == "yolo"


def test_labels_without_images_are_named_though_the_first_are_empty(tmp_path):
    write_pair(tmp_path / "images", tmp_path / "labels", [f"a{number:02}" for number in range(60)], text="")
    (tmp_path / "labels/z.txt").write_text(LABEL)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match=r"labels without images: 61 label files"):
        read_source("auto", tmp_path)
