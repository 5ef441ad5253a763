"""Class folder reader: known answers."""

import os
import sys

import pytest

from pipeline.core.errors import UserError
from pipeline.source.formats.folders.reader import matches_folder
from pipeline.source.recognize_format import read_source
from pipeline.source.types import ReadOptions
from tests.sources import write_picture


def folders(root, *names: str):
    for name in names:
        write_picture(root / name)
    return root


def found(source):
    return {
        image.source: (
            source.names[image.raw.classes[0]],
            image.split,
            image.raw.boxes.tolist(),
            image.normalized,
        )
        for image in source.images
    }


WHOLE = [[0.0, 0.0, 1.0, 1.0]]


def test_folders_are_classes(tmp_path):
    source = read_source("auto", folders(tmp_path, "dog/1.jpg", "cat/1.png", "cat/2.jpeg"))
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert found(source) == {
        "cat/1.png": ("cat", None, WHOLE, True),
        "cat/2.jpeg": ("cat", None, WHOLE, True),
        "dog/1.jpg": ("dog", None, WHOLE, True),
    }
    assert source.images[0].raw.marks == ("folder",)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation", "val2017", "seg_val"])
@pytest.mark.parametrize("test", ["test", "testing"])
def test_split_folders_are_found_in_any_spelling(tmp_path, val, test):
    names = (f"{split}/{cls}/{split}.jpg" for split in ("train", val, test) for cls in ("cat", "dog"))
    source = read_source("auto", folders(tmp_path, *names))
    assert source.names == ("cat", "dog")
    assert [image.split for image in source.images] == [
        split
        for path in sorted((test, "train", val))
        for split in [{val: "val", test: "test"}.get(path, path)] * 2
    ]


def test_class_may_be_missing_from_a_split(tmp_path):
    source = read_source("auto", folders(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/2.jpg"))
    assert source.names == ("cat", "dog")
    assert found(source)["test/cat/2.jpg"][:2] == ("cat", "test")


def test_class_name_with_a_split_word_is_a_class(tmp_path):
    source = read_source("auto", folders(tmp_path, "train station/1.jpg", "airport/1.jpg"))
    assert source.names == ("airport", "train station")
    assert {image.split for image in source.images} == {None}


def test_other_files_and_images_without_a_class_are_reported(tmp_path):
    folders(tmp_path, "train/cat/1.jpg", "train/cat/deep/2.jpg", "train/dog/1.jpg", "train/3.jpg", "4.jpg")
    (tmp_path / "train/cat/notes.txt").write_text("x")
    (tmp_path / "train/cat/.DS_Store").write_text("x")
    (tmp_path / "train/empty").mkdir()
    (tmp_path / "README.md").write_text("x")
    source = read_source("folders", tmp_path)
    assert found(source)["train/cat/deep/2.jpg"][0] == "cat"
    assert {defect[:3] for defect in source.defects} == {
        ("train/cat/notes.txt", "quarantined", "not an image"),
        ("4.jpg", "quarantined", "lies in no class folder"),
    } | {("train/3.jpg", "quarantined", "lies in no class folder")}
    assert source.remarks == (
        "the folder empty holds no images: it is no class",
        "1 image in folders within a class folder: counted for the outer one",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_folder_names_that_are_not_utf_8_are_escaped(tmp_path):
    folders(tmp_path, "caf/1.jpg", "tea/1.jpg")
    (tmp_path / "caf").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    source = read_source("auto", tmp_path)
    assert source.names == ("caf\\xe9", "tea")
    assert source.images[0].source == "caf\\xe9/1.jpg"
    assert source.images[0].path.is_file()


@pytest.mark.parametrize("names", [(), ("cat/1.jpg",), ("train/cat/1.jpg",)])
def test_fewer_than_two_classes_are_refused(tmp_path, names):
    with pytest.raises(UserError, match=r"no class folders with images in .* expected two or more, found"):
        read_source("folders", folders(tmp_path, *names))


def test_one_split_alone_is_none(tmp_path):
    source = read_source("folders", folders(tmp_path, "val/cat/1.jpg", "val/dog/1.jpg"))
    assert {image.split for image in source.images} == {None}
    assert [remark for remark in source.remarks if "no split but val" in remark]


@pytest.mark.parametrize("names", [("images/1.jpg", "samples/1.png"), ("train/1.jpg", "val/2.jpg")])
def test_folders_of_other_formats_are_not_classes(tmp_path, names):
    folders(tmp_path, *names)
    with pytest.raises(UserError, match="no annotations recognized") as refused:
        read_source("auto", tmp_path)
    assert "read as folders" not in str(refused.value)


@pytest.mark.parametrize("other", ["2. All Segmentation Groundtruths", "ground_truths", "Train_Annotations"])
def test_folder_named_after_annotations_is_no_class(tmp_path, other):
    for name in ("1. Original Images", other):
        for number in range(3):
            write_picture(tmp_path / name / f"{name}{number * 37}.jpg")
    assert not matches_folder(tmp_path)


class TestFolderWithoutLabel:
    """CVAT and Datumaro write the images without a label into a folder called no_label."""

    @pytest.mark.parametrize("name", ["no_label", "No-Label", "nolabel", "no labels"])
    @pytest.mark.parametrize("form", ["auto", "folders"])
    def test_its_images_have_no_class(self, tmp_path, name, form):
        folders(tmp_path, "cat/1.jpg", "dog/1.jpg", "dog/2.jpg", f"{name}/3.jpg")
        source = read_source(form, tmp_path)
        assert source.names == ("cat", "dog")
        assert [image.source for image in source.images] == ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"]
        assert [(finding.file, finding.kind) for finding in source.defects] == [
            (f"{name}/3.jpg", "missing-label")
        ]
        assert [remark for remark in source.remarks if remark.startswith(f"the folder {name} ")]

    def test_it_may_lie_in_a_split(self, tmp_path):
        names = (f"{split}/{cls}/1.jpg" for split in ("train", "val") for cls in ("cat", "dog", "no_label"))
        source = read_source("auto", folders(tmp_path, *names))
        assert source.names == ("cat", "dog")
        assert {finding.file for finding in source.defects} == {"train/no_label/1.jpg", "val/no_label/1.jpg"}

    def test_it_is_refused_or_left_out_as_data_unlabelled_says(self, tmp_path):
        folders(tmp_path, "cat/1.jpg", "dog/1.jpg", "no_label/3.jpg")
        with pytest.raises(UserError, match=r"no_label/3\.jpg"):
            read_source("auto", tmp_path, ReadOptions(unlabelled="refuse"))
        source = read_source("auto", tmp_path, ReadOptions(unlabelled="background"))
        assert [image.source for image in source.images] == ["cat/1.jpg", "dog/1.jpg"]

    def test_it_is_no_second_class(self, tmp_path):
        folders(tmp_path, "cat/1.jpg", "no_label/3.jpg")
        with pytest.raises(UserError, match="expected two or more, found only 'cat'"):
            read_source("folders", tmp_path)
        assert not matches_folder(tmp_path)

    @pytest.mark.parametrize(
        ("form", "pattern"),
        [
            ("auto", "{}/1.jpg"),
            ("auto", "train/{}/1.jpg"),
            ("auto", "set/{}/1.jpg"),
            ("folders", "{}/1.jpg"),
            ("folders", "train/{}/1.jpg"),
        ],
    )
    def test_message_names_the_folder_that_may_be_the_second_class(self, tmp_path, form, pattern):
        folders(tmp_path, pattern.format("ok"), pattern.format("no_label"))
        with pytest.raises(UserError, match="the folder no_label is taken for images without a class"):
            read_source(form, tmp_path)

    def test_lone_folder_of_images_without_a_class_is_not_told_of(self, tmp_path):
        with pytest.raises(UserError) as refused:
            read_source("auto", folders(tmp_path, "no_label/1.jpg"))
        assert "without a class" not in str(refused.value)
