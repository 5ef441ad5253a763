"""DOTA reader: known answers for corners, headers, split folders, invalid lines."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.dota.reader import matches_folder, read_folder
from tests.readings import (
    check_corrupted_source,
    corrupted_bytes,
    find_real_dataset,
    get_boxes,
    get_notes,
    get_outlines,
)
from tests.sources import write_picture

LINE = "30 20 50 40 30 60 10 40 large-vehicle 0\n"


def write(folder, name, text, *, images="images", labels="labelTxt"):
    write_picture(folder / images / f"{name}.png")
    (folder / labels).mkdir(parents=True, exist_ok=True)
    (folder / labels / f"{name}.txt").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        "imagesource:GoogleEarth\ngsd:0.146343590398\n" + LINE,
        LINE.replace(" 0\n", "\n"),
        LINE.replace(" ", "  ").replace("30", "30.0"),
        "\ufeff" + LINE + "\r\n\r\n",
    ],
)
def test_four_corners_are_read_in_their_order(tmp_path, text):
    source = read_folder(write(tmp_path, "x", text))
    assert matches_folder(tmp_path)
    assert (source.task, get_boxes(source)) == ("obb", {"x": [("large-vehicle", 10, 20, 50, 60)]})
    assert get_outlines(source) == {"x": [[[[30, 20], [50, 40], [30, 60], [10, 40]]]]}
    assert source.defects == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 2 3 4 5 6 7 8", "not eight numbers and a class: '1 2 3 4 5 6 7 8'"),
        ("1 2 3 4 5 6 7 ship 0", "'ship' is no number that a coordinate can be"),
        ("1 2 3 4 5 6 7 nan ship 0", "'nan' is no number that a coordinate can be"),
        ("1 2 3 4 5 6 7 1e99 ship 0", "'1e99' is no number that a coordinate can be"),
        ("1 2 3 4 5 6 7 x ship 0", "'x' is no number that a coordinate can be"),
        ("1 2 3 4 5 6 7 8 9 ship 0", "not eight numbers and a class"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, line, reason):
    source = read_folder(write(tmp_path, "x", f"gsd:null\n{LINE}{line}\n"))
    assert get_boxes(source) == {"x": [("large-vehicle", 10, 20, 50, 60)]}
    [(dropped, words)] = get_notes(source)["x"]
    assert dropped
    assert words.startswith(f"line 3: {reason}")


def test_folders_are_splits_and_distinguish_images_of_one_name(tmp_path):
    write(tmp_path, "x", LINE, images="train/images", labels="train/labelTxt")
    write(tmp_path, "x", LINE * 2, images="val/images", labels="val/labelTxt")
    source = read_folder(tmp_path)
    assert [(i.source, i.split, len(i.raw.classes)) for i in source.images] == [
        ("train/images/x.png", "train", 1),
        ("val/images/x.png", "val", 2),
    ]


def test_single_split_folder_assigns_no_split(tmp_path):
    source = read_folder(write(tmp_path, "x", LINE, images="train/images", labels="train/labelTxt"))
    assert [image.split for image in source.images] == [None]


def test_image_without_split_keeps_the_splits_of_others(tmp_path):
    for place in ("train", "val", "more"):
        write(tmp_path, place, LINE, images=f"{place}/images", labels=f"{place}/labelTxt")
    assert [image.split for image in read_folder(tmp_path).images] == [None, "train", "val"]


def test_difficult_objects_are_used_with_a_remark(tmp_path):
    source = read_folder(write(tmp_path, "x", LINE + LINE.replace(" 0\n", " 1\n")))
    assert len(get_boxes(source)["x"]) == 2
    assert source.remarks == ("1 object marked as difficult: used as any other",)


@pytest.mark.parametrize("upright", ["Train_Task2_gt/trainset_reclabelTxt", "hbb"])
def test_upright_boxes_beside_rotated_ones_are_ignored(tmp_path, upright):
    write(tmp_path, "x", "1 2 30 2 30 40 1 40 ship 0\n", labels=upright)
    write(tmp_path, "x", LINE, labels="labelTxt-v1.0/labelTxt")
    source = read_folder(tmp_path)
    assert get_boxes(source) == {"x": [("large-vehicle", 10, 20, 50, 60)]}
    assert source.defects == ()
    assert source.remarks == (f"{upright} holds upright boxes beside the rotated ones: left aside",)
    (tmp_path / "labelTxt-v1.0/labelTxt/x.txt").unlink()
    assert read_folder(tmp_path).images[0].raw.boxes.tolist() == [[1, 2, 30, 40]]


def test_unmatched_images_and_annotations_are_reported(tmp_path):
    write(tmp_path, "x", LINE)
    write(tmp_path, "empty", "imagesource:x\n")
    write_picture(tmp_path / "images/bare.png")
    (tmp_path / "labelTxt/lone.txt").write_text(LINE)
    (tmp_path / "readme.txt").write_text("ships and planes\n")
    source = read_folder(tmp_path)
    assert get_boxes(source)["empty"] == []
    assert [(d.file, d.reason) for d in source.defects] == [
        ("labelTxt/lone.txt", "an annotation without an image"),
        ("images/bare.png", "an image without an annotation"),
    ]


@pytest.mark.parametrize(
    "line", ["0 0.1 0.1 0.2 0.2 0.3 0.3 0.4 0.4\n", "0 0.5 0.5 0.1 0.1\n", "1 2 3 4 5\n", ""]
)
def test_other_text_does_not_match(tmp_path, line):
    assert not matches_folder(write(tmp_path, "x", line))


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image in"):
        read_folder(tmp_path)


def test_real_dataset_is_read():
    folder = find_real_dataset("datumaro-assets/dota_dataset")
    source = read_folder(folder)
    assert matches_folder(folder)
    assert [len(image.raw.classes) for image in source.images] == [1, 1, 2]
    assert [image.split for image in source.images] == ["train", "train", "val"]
    assert source.names == ("label_0", "label_1")


@given(data=corrupted_bytes(("imagesource:x\n" + LINE * 3).encode()))
@settings(max_examples=100, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_dota"
    write(folder, "x", "")
    (folder / "labelTxt/x.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)


@pytest.mark.parametrize("empty", ["", "\n", "imagesource:GoogleEarth\ngsd:null\n"])
def test_files_without_objects_do_not_hide_the_format(tmp_path, empty):
    for number in range(30):
        write(tmp_path, f"a{number}", empty)
    write(tmp_path, "z", LINE)
    assert matches_folder(tmp_path)
