"""Text boxes reader: known answers, in the layout of DeepPCB."""

import pytest
from hypothesis import given, settings

from pipeline.core.errors import UserError
from pipeline.source.formats.boxes.reader import matches_folder, read_folder
from pipeline.source.recognize_format import read_source, recognize_source
from pipeline.source.types import ReadOptions
from tests.readings import check_corrupted_source, corrupted_bytes, find_real_dataset, get_boxes, get_notes
from tests.sources import write_picture


def pair(folder, name, text):
    """Write a tested image and its template in one folder, the boxes in another, as DeepPCB has them."""
    write_picture(folder / f"group1/a/{name}_test.jpg")
    write_picture(folder / f"group1/a/{name}_temp.jpg")
    (folder / "group1/a_not").mkdir(parents=True, exist_ok=True)
    (folder / f"group1/a_not/{name}.txt").write_text(text)
    return folder


def beside(folder, name, text):
    write_picture(folder / f"{name}.jpg")
    (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.mark.parametrize(
    "text", ["10 20 50 60 3\n", "10,20,50,60,3\r\n", "\ufeff10 20 50 60 03", "10.0\t20 50 60 3\n\n"]
)
@pytest.mark.parametrize("write", [pair, beside])
def test_two_corners_and_a_class_are_read(tmp_path, text, write):
    source = read_folder(write(tmp_path, "00041", text))
    assert matches_folder(tmp_path)
    assert [*get_boxes(source).values()] == [[("class_3", 10, 20, 50, 60)]]
    assert source.remarks == (
        "the source names no classes: they are called by their numbers (data.classes renames them)",
    )


def test_templates_are_not_used_and_reported(tmp_path):
    source = read_folder(pair(tmp_path, "1", "10 20 50 60 3"))
    assert [(d.file, d.reason) for d in source.defects] == [
        ("group1/a/1_temp.jpg", "a template: 1_test.jpg without its faults")
    ]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ("0 none\n3 open\n", "open"),
        ("3-open\n", "open"),
        ("3: open\n", "open"),
        ("a\nb\nc\nd\n", "d"),
        ("1 a\n", "class_3"),
    ],
)
def test_class_names_are_read_from_a_file(tmp_path, names, label):
    beside(tmp_path, "x", "10 20 50 60 3")
    (tmp_path / "classes.txt").write_text(names)
    source = read_folder(tmp_path)
    assert source.names == (label,)
    assert bool(source.remarks) == (label == "class_3")


def test_numbered_classes_are_sorted_by_number(tmp_path):
    lines = [f"10 20 50 60 {label}\n" for label in ("10", "9", "short", "open")]
    assert read_folder(beside(tmp_path, "x", "".join(lines))).names == (
        "class_9",
        "class_10",
        "open",
        "short",
    )


def test_image_lists_are_splits(tmp_path):
    for name in "abc":
        pair(tmp_path, name, "10 20 50 60 3")
    (tmp_path / "trainval.txt").write_text(
        "group1/a/a.jpg group1/a_not/a.txt\ngroup1/a/b.jpg group1/a_not/b.txt\n"
    )
    (tmp_path / "test.txt").write_text("group1/a/b.jpg x\ngroup1/a/c.jpg x\ngroup1/a/gone.jpg x\n")
    source = read_folder(tmp_path)
    assert [image.split for image in source.images] == ["train", "test", "test"]
    assert source.remarks[0] == "test.txt, trainval.txt: 1 image named there, but not here"


def write_sequences(folder, images):
    """Write an image at each path, and its boxes in a folder gt beside images."""
    for image in images:
        write_picture(folder / image)
        label = folder / image.replace("images", "gt").replace(".jpg", ".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("10 20 50 60 3\n")


OUTER, INNER = "images/{}/0001.jpg", "{}/images/0001.jpg"


@pytest.mark.fault(2, "lists name images that others in the source are called like")
@pytest.mark.parametrize(
    ("layout", "pattern", "splits"),
    [
        (OUTER, "/ds/{}/0001.jpg", ["train", "val", None]),
        (OUTER, "{}/images/0001.jpg", [None, None, None]),
        (OUTER, "x/images/{}/0001.jpg gt/{}/0001.txt", ["train", "val", None]),
        (OUTER, "old/{}_left/0001.jpg gt/{}/0001.txt", ["train", "val", None]),
        (OUTER, "gt\\{}\\0001.jpg", ["train", "val", None]),
        (INNER, "{}/images/0001.jpg", ["train", "val", None]),
        (INNER, "/ds/{}/images/0001.jpg", ["train", "val", None]),
        (INNER, "images/{}/0001.jpg", [None, None, None]),
    ],
)
def test_list_names_the_image_of_its_folder_alone(tmp_path, layout, pattern, splits):
    cameras = ["cam1", "cam2", "cam3"]
    write_sequences(tmp_path, [layout.format(camera) for camera in cameras])
    for split, camera in (("train", "cam1"), ("val", "cam2")):
        (tmp_path / f"{split}.txt").write_text(f"{pattern.format(camera, camera)}\n")
    source = read_folder(tmp_path)
    assert {image.source: image.split for image in source.images} == {
        layout.format(camera): split for camera, split in zip(cameras, splits, strict=True)
    }
    assert len([remark for remark in source.remarks if "in none of their splits" in remark]) == 1


@pytest.mark.fault(2, "lists name images that others in the source are called like")
def test_renamed_folders_leave_namesakes_in_no_split(tmp_path):
    write_sequences(tmp_path, [OUTER.format("cam1"), OUTER.format("cam2"), "images/cam1/0002.jpg"])
    (tmp_path / "train.txt").write_text("/ds/a/0001.jpg\n/ds/a/0002.jpg\n")
    (tmp_path / "val.txt").write_text("/ds/b/0001.jpg\n")
    source = read_folder(tmp_path)
    assert [image.split for image in source.images] == [None, "train", None]
    assert [remark for remark in source.remarks if remark.startswith("2 images have a name")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("10 20 50 3", "not x1 y1 x2 y2 and a class: '10 20 50 3'"),
        ("10 20 50 60 3 4", "not x1 y1 x2 y2 and a class: '10 20 50 60 3 4'"),
        ("10 20 50 nan 3", "'nan' is no number that a coordinate can be"),
        ("10 20 50 1e99 3", "'1e99' is no number that a coordinate can be"),
        ("10 20 50 x 3", "'x' is no number that a coordinate can be"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, line, reason):
    source = read_folder(beside(tmp_path, "x", f"10 20 50 60 3\n\n{line}\n"))
    assert get_boxes(source) == {"x": [("class_3", 10, 20, 50, 60)]}
    assert get_notes(source) == {"x": [(True, f"line 3: {reason}")]}


def test_unmatched_images_and_annotations_are_reported(tmp_path):
    beside(tmp_path, "x", "10 20 50 60 3")
    beside(tmp_path, "empty", "")
    write_picture(tmp_path / "bare.jpg")
    (tmp_path / "lone.txt").write_text("10 20 50 60 3")
    (tmp_path / "readme.txt").write_text("about this set")
    source = read_folder(tmp_path)
    assert get_boxes(source)["empty"] == []
    assert [(d.file, d.reason) for d in source.defects] == [
        ("lone.txt", "an annotation without an image"),
        ("bare.jpg", "an image without an annotation"),
    ]


@pytest.mark.parametrize(
    "text", ["0 0.5 0.5 0.1 0.1\n", "7 0.5 0.5 1 1\n", "1 2 3 4\n", "a b c d e\n", "50 60 10 20 3\n", ""]
)
def test_yolo_labels_and_other_text_do_not_match(tmp_path, text):
    assert not matches_folder(beside(tmp_path, "x", text))


def write_lines(folder, lines):
    for number, line in enumerate(lines):
        beside(folder, f"x{number:02d}", line)
    return folder


CORNERS = [(5 + 3 * n, 9 + 2 * n, 30 + 3 * n, 40 + 2 * n) for n in range(12)]


def test_class_before_the_corners_is_read_with_a_remark(tmp_path):
    write_lines(tmp_path, [f"{n % 3} {' '.join(map(str, box))}\n" for n, box in enumerate(CORNERS)])
    found = recognize_source("auto", tmp_path)
    assert found.form == "boxes"
    boxes = [box for _, boxes in sorted(get_boxes(found.source).items()) for box in boxes]
    assert boxes == [(f"class_{n % 3}", *box) for n, box in enumerate(CORNERS)]
    assert "each line is read as class x1 y1 x2 y2, in pixels" in found.source.remarks


def test_word_shows_where_the_class_is(tmp_path):
    write_lines(tmp_path, [f"cat {' '.join(map(str, box))}\n" for box in CORNERS])
    assert matches_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path))["x00"] == [("cat", *CORNERS[0])]


def test_class_after_the_corners_is_told_from_one_before_them(tmp_path):
    lines = [f"{' '.join(map(str, box))} {60 + n % 2}\n" for n, box in enumerate(CORNERS)]
    write_lines(tmp_path, lines)
    assert get_boxes(read_folder(tmp_path))["x01"] == [("class_61", *CORNERS[1])]


def test_lines_that_can_be_read_in_two_ways_are_refused(tmp_path):
    write_lines(tmp_path, ["3 10 20 50 60\n"])
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError, match=r"data\.labels=pixel_corners"):
        read_folder(tmp_path)
    source = read_folder(tmp_path, ReadOptions(labels="pixel_corners"))
    assert get_boxes(source) == {"x00": [("class_3", 10, 20, 50, 60)]}
    (tmp_path / "classes.txt").write_text("60: cat\n")
    assert get_boxes(read_folder(tmp_path)) == {"x00": [("cat", 3, 10, 20, 50)]}


def test_yolo_labels_in_pixels_are_refused(tmp_path):
    centers = [(50, 40, 20, 12), (30, 41, 22, 15), (61, 35, 30, 31), (20, 20, 12, 12)]
    write_lines(tmp_path, [f"{n % 2} {' '.join(map(str, box))}\n" for n, box in enumerate(centers)])
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError, match=r"data\.labels=pixels"):
        read_folder(tmp_path)
    with pytest.raises(UserError, match=r"set data\.labels=pixels"):
        read_source("auto", tmp_path)


@pytest.mark.parametrize("labels", ["pixels", "shares", "corners"])
def test_options_for_yolo_labels_are_refused(tmp_path, labels):
    with pytest.raises(UserError, match="is for YOLO labels"):
        read_folder(write_lines(tmp_path, ["10 20 50 60 3\n"]), ReadOptions(labels=labels))


def test_folder_with_a_data_yaml_is_yolo(tmp_path):
    write_lines(tmp_path, ["10 20 50 60 3\n"])
    (tmp_path / "data.yaml").write_text("train: .\nnames: [a, b]\n")
    assert not matches_folder(tmp_path)


def test_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no image in"):
        read_folder(tmp_path)


def test_deeppcb_is_read_with_all_boxes_and_splits():
    source = read_folder(find_real_dataset("deeppcb-subset"))
    assert matches_folder(find_real_dataset("deeppcb-subset"))
    assert sum(len(image.raw.classes) for image in source.images) == 1500
    assert [sum(i.split == split for i in source.images) for split in ("train", "test")] == [161, 73]
    assert source.names == tuple(f"class_{number}" for number in range(1, 7))
    assert len(source.defects) == 234
    assert all("a template" in defect.reason for defect in source.defects)


@given(data=corrupted_bytes(b"10 20 50 60 3\n1,2,3,4,open\n" * 2))
@settings(max_examples=100, deadline=None)
def test_corrupted_text_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_boxes"
    write_picture(folder / "x.jpg")
    (folder / "x.txt").write_bytes(data)
    check_corrupted_source(read_folder, folder)
