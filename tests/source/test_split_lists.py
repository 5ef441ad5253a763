"""Lists of images that are splits: how tools and people write them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.source.recognize_format import read_source
from pipeline.source.split_lists import SplitLists, has_split_lists
from tests.sources import SIZE, write_coco_file, write_picture, write_voc_file


def write_lists(folder: Path, lists: dict[str, str]) -> SplitLists:
    for name, text in lists.items():
        (folder / name).write_text(text)
    return SplitLists(folder)


@pytest.mark.parametrize(
    ("lists", "images", "splits"),
    [
        ({"train.txt": "a\nb\n", "val.txt": "c\n"}, ["a.jpg", "c.jpg", "d.jpg"], ["train", "val", None]),
        ({"Train.txt": "a\n", "Validation.txt": "b\n", "Test.txt": "c\n"}, "abc", ["train", "val", "test"]),
        ({"train.txt": "a.jpg\n", "test.txt": "b.JPG\n"}, ["a.jpg", "b.JPG"], ["train", "test"]),
        ({"train.txt": "a/1\n", "test.txt": "b/1\n"}, ["JPEGImages/a/1.jpg", "b/1.png"], ["train", "test"]),
        ({"train.txt": "img 1\n", "test.txt": "img 2\n"}, ["img 1.jpg", "img 2.jpg"], ["train", "test"]),
        ({"train.txt": "a -1\nb  1\n", "test.txt": "c 1\n"}, "abc", ["train", "train", "test"]),
        (
            {"train.txt": "data/obj/a.png\n", "val.txt": ".\\b.png\n"},
            ["images/a.png", "b.png"],
            ["train", "val"],
        ),
        ({"trainval.txt": "a\nb\n", "test.txt": "b\nc\n"}, "abc", ["train", "test", "test"]),
        ({"train.txt": "a\n", "trainval.txt": "a\nb\n"}, "ab", ["train", None]),
        ({"cat_train.txt": "a 1\n", "default.txt": "a\n"}, "a", [None]),
        ({}, "a", [None]),
    ],
)
def test_lists_give_the_splits(tmp_path, lists, images, splits):
    found = write_lists(tmp_path, lists)
    assert found.find_splits([[image] for image in images]) == splits


def test_lists_that_match_nothing_and_images_in_two_are_told(tmp_path):
    lists = write_lists(tmp_path, {"train.txt": "a\nb\n", "test.txt": "a\n", "val.txt": "x\n"})
    assert lists.find_splits([["a"], ["b"]]) == ["test", "train"]
    unused, twice = lists.list_remarks()
    assert "val.txt names none of the images" in unused
    assert "1 image in more than one split" in twice


def test_one_list_alone_divides_nothing(tmp_path):
    write_lists(tmp_path, {"train.txt": "a\n", "classes.txt": "cat\n"})
    assert not has_split_lists(tmp_path)
    write_lists(tmp_path, {"test.txt": "b\n"})
    assert has_split_lists(tmp_path)


def write_labelled(folder: Path, form: str, names: str) -> None:
    """Write an image per letter with one object, in one of four formats."""
    for name in names:
        write_picture(folder / f"images/{name}.jpg")
        if form == "voc":
            write_voc_file(folder / f"annotations/{name}.xml", [("cat", (11, 21, 50, 60))])
        if form == "masks":
            mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
            mask[20:60, 10:50] = 255
            (folder / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f"masks/{name}.png"), mask)
    if form == "coco":
        write_coco_file(folder / "labels.json", {f"{name}.jpg": [{}] for name in names}, categories={1: "a"})
    if form == "csv":
        rows = "".join(f"{name}.jpg,10,20,50,60,cat\n" for name in names)
        (folder / "boxes.csv").write_text(f"filename,xmin,ymin,xmax,ymax,class\n{rows}")


@pytest.mark.parametrize("form", ["voc", "coco", "masks", "csv"])
@pytest.mark.parametrize("place", [".", "ImageSets", "ImageSets/Main", "ImageSets/Segmentation", "splits"])
def test_lists_beside_the_annotations_of_any_format_are_the_splits(tmp_path, form, place):
    write_labelled(tmp_path, form, "abcd")
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    write_lists(tmp_path / place, {"train.txt": "a\nb\n", "val.txt": "images/c.jpg\n"})
    source = read_source(form, tmp_path)
    assert [image.split for image in source.images] == ["train", "train", "val", None]


@pytest.mark.parametrize(
    "lists", [{"train.txt": "a\n", "val.txt": "x\n"}, {"val.txt": "a\nb\n", "test.txt": "c\nd\n"}]
)
def test_lists_that_are_no_split_of_these_images_are_told(tmp_path, lists):
    write_labelled(tmp_path, "coco", "abcd")
    write_lists(tmp_path, lists)
    source = read_source("coco", tmp_path)
    assert {image.split for image in source.images} == {None}
    assert [remark for remark in source.remarks if "val.txt" in remark]


def test_splits_of_folders_win_over_lists(tmp_path):
    for name, place in (("a", "train"), ("b", "val")):
        write_picture(tmp_path / place / f"{name}.jpg")
        write_voc_file(tmp_path / place / f"{name}.xml", [("cat", (11, 21, 50, 60))])
    write_lists(tmp_path, {"train.txt": "b\n", "val.txt": "a\n"})
    assert [image.split for image in read_source("voc", tmp_path).images] == ["train", "val"]


CAMERAS = ["images/cam1/0001.jpg", "images/cam2/0001.jpg"]


@pytest.mark.parametrize(
    ("lists", "images", "splits"),
    [
        pytest.param(
            {"train.txt": f"/home/me/ds/{CAMERAS[0]}\n", "val.txt": f"/home/me/ds/{CAMERAS[1]}\n"},
            CAMERAS,
            ["train", "val"],
            id="outer path",
        ),
        pytest.param(
            {"train.txt": "D:\\ds\\cam1\\0001.jpg\n", "val.txt": "D:\\ds\\cam2\\0001.jpg\n"},
            [f"set/{name}" for name in CAMERAS],
            ["train", "val"],
            id="both have outer folders",
        ),
        pytest.param(
            {"train.txt": "/ds/cam1/0001.jpg\n", "val.txt": "/ds/cam2/0001.jpg\n"},
            [*CAMERAS, "images/cam3/0001.jpg"],
            ["train", "val", None],
            id="name of several lines",
        ),
        pytest.param(
            {"train.txt": "/ds/cam1/0001.jpg\n", "val.txt": "/ds/cam1/0002.jpg\n"},
            ["cam1/0001.jpg", "cam2/0001.jpg", "cam1/0002.jpg"],
            ["train", None, "val"],
            id="name of several images",
        ),
        pytest.param(
            {"train.txt": "/ds/cam1/0001.jpg\n", "val.txt": "/ds/cam1/0002.jpg\n"},
            ["one/0001.jpg", "two/0001.jpg", "one/0002.jpg"],
            [None, None, "val"],
            id="name of several images in other folders",
        ),
        pytest.param(
            {"train.txt": "0001\n", "val.txt": "0002\n"},
            ["cam1/0001.jpg", "cam2/0001.jpg", "cam1/0002.jpg"],
            ["train", "train", "val"],
            id="names alone",
        ),
    ],
)
def test_images_of_one_name_have_the_split_of_their_own_line(tmp_path, lists, images, splits):
    found = write_lists(tmp_path, lists)
    assert found.find_splits([[image] for image in images]) == splits
    unclear = [remark for remark in found.list_remarks() if "in none of their splits" in remark]
    assert len(unclear) == (None in splits)


def test_lists_of_another_machine_divide_a_flat_yolo_folder(tmp_path):
    for name in CAMERAS:
        write_picture(tmp_path / name)
        label = tmp_path / name.replace("images", "labels").replace(".jpg", ".txt")
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.2 0.2\n")
    write_lists(
        tmp_path, {"train.txt": f"/home/me/ds/{CAMERAS[0]}\n", "val.txt": f"/home/me/ds/{CAMERAS[1]}\n"}
    )
    source = read_source("auto", tmp_path)
    assert {image.source: image.split for image in source.images} == dict(
        zip(CAMERAS, ("train", "val"), strict=True)
    )


@pytest.mark.parametrize("place", [".", "images"])
def test_label_files_named_after_splits_are_no_lists(tmp_path, place):
    for name in ("train_0001", "train_0002", "val_0001", "test_0001"):
        write_picture(tmp_path / place / f"{name}.jpg")
        (tmp_path / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    assert not has_split_lists(tmp_path)
    write_lists(tmp_path, {"train.txt": "train_0001.jpg\n", "val_2.txt": "val_0001.jpg\n"})
    assert SplitLists(tmp_path).files == ["train.txt", "val_2.txt"]


def test_remarks_name_few_of_many_lists(tmp_path):
    write_labelled(tmp_path, "coco", "abcd")
    write_lists(
        tmp_path, {f"{split}{number}.txt": "x\n" for split in ("train", "val") for number in range(9)}
    )
    [remark] = [remark for remark in read_source("coco", tmp_path).remarks if ".txt" in remark]
    assert remark.count(".txt") == 3
    lists = SplitLists(tmp_path)
    assert lists.find_splits([["a.jpg"]]) == [None]
    [remark] = lists.list_remarks()
    assert remark.count(".txt") == 3
