"""Annotations are matched to the image that they belong to, not to another with a similar name."""

import json

import pytest

from pipeline.source.formats.boxes import reader as plain_boxes
from pipeline.source.formats.csv.reader import read_folder as reader_read_folder
from pipeline.source.formats.cvat.reader import read_folder as reader_read_folder2
from pipeline.source.formats.labelme import reader as labelme_reader
from pipeline.source.formats.labelstudio.reader import read_folder
from pipeline.source.formats.masks import reader as masks_reader
from pipeline.source.recognize_format import read_source
from tests import sources
from tests.sources import write_picture

CLASSES = "filename,class,xmin,ymin,xmax,ymax"


def table(folder, names, *, images, place="."):
    """Write a table with one box for each name; the left edge of a box is its row number."""
    for image in images:
        write_picture(folder / image)
    rows = [f"{name},cat,{number},20,50,60" for number, name in enumerate(names, 1)]
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "boxes.csv").write_text("\n".join((CLASSES, *rows)) + "\n")
    return folder


def lefts(source):
    """Return the left edges of the boxes of each image that has boxes."""
    return {
        image.source: [int(box[0]) for box in image.raw.boxes]
        for image in source.images
        if image.raw.boxes.size
    }


@pytest.mark.parametrize("place", [".", "annotations"])
@pytest.mark.parametrize(
    ("names", "images", "found"),
    [
        (("cam1/1.jpg", "cam2/1.jpg"), ("cam2/1.jpg", "cam1/2.jpg"), {"cam2/1.jpg": [2]}),
        (("cam1/1.jpg", "cam1/2.jpg"), ("cam2/1.jpg", "cam1/2.jpg"), {"cam1/2.jpg": [2]}),
        (("cam1/1.jpg", "cam2/2.jpg"), ("cam2/1.jpg", "cam2/2.jpg"), {"cam2/2.jpg": [2]}),
        (("cam1/1.jpg", "cam2/1.jpg", "9.jpg"), ("images/1.jpg", "9.jpg"), {"9.jpg": [3]}),
        (("train/1.jpg", "2.jpg"), ("val/1.jpg", "2.jpg"), {"2.jpg": [2]}),
        (("a.png", "a.jpg"), ("a.jpg",), {"a.jpg": [2]}),
        (("A.jpg", "a.jpg"), ("a.jpg",), {"a.jpg": [2]}),
        (("a.jpg", "sub/a.jpg"), ("a.jpg", "sub/a.jpg"), {"a.jpg": [1], "sub/a.jpg": [2]}),
    ],
)
def test_row_is_never_matched_to_another_image(tmp_path, names, images, found, place):
    source = reader_read_folder(table(tmp_path, names, images=images, place=place))
    assert lefts(source) == found
    assert not {image.source for image in source.images} & {d.file for d in source.defects}


@pytest.mark.parametrize(
    ("stated", "image"),
    [
        ("VOC2007/JPEGImages/{}.jpg", "images/{}.jpg"),
        ("upload/xyz/{}.jpg", "images/{}.jpg"),
        ("/home/me/set/cam1/{}.jpg", "cam1/{}.jpg"),
        ("C:\\set\\images\\{}.jpg", "{}.jpg"),
        ("{}.jpg", "deep/inside/{}.jpg"),
        ("{}.png", "images/{}.jpg"),
    ],
)
def test_renamed_folders_still_match(tmp_path, stated, image):
    numbers = range(1, 4)
    names, images = [stated.format(n) for n in numbers], [image.format(n) for n in numbers]
    source = reader_read_folder(table(tmp_path, names, images=images))
    assert lefts(source) == {name: [n] for n, name in enumerate(images, 1)}
    assert source.defects == ()


def test_missing_image_is_not_confused_with_a_used_one(tmp_path):
    folder = table(tmp_path / "src9", ["0.jpg", "src9/0.jpg", "sub/0.jpg"], images=["0.jpg", "sub/0.jpg"])
    source = reader_read_folder(folder)
    assert {name: found[0] for name, found in lefts(source).items()} == {"0.jpg": 1, "sub/0.jpg": 3}
    assert not {image.source for image in source.images} & {d.file for d in source.defects}


def test_cvat_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    for name in ("cam2/1.jpg", "cam1/2.jpg"):
        write_picture(tmp_path / name)
    drawn = '<box label="cat" xtl="{}" ytl="20" xbr="50" ybr="60"/>'
    rows = [
        f'<image id="{n}" name="{name}" width="96" height="80">{drawn.format(n)}</image>'
        for n, name in enumerate(("cam1/1.jpg", "cam2/1.jpg", "cam1/2.jpg"), 1)
    ]
    (tmp_path / "annotations.xml").write_text(f"<annotations>{''.join(rows)}</annotations>")
    source = reader_read_folder2(tmp_path)
    assert lefts(source) == {"cam1/2.jpg": [3], "cam2/1.jpg": [2]}
    assert [(d.file, d.kind) for d in source.defects] == [("cam1/1.jpg", "missing-image")]


def test_label_studio_images_of_two_splits_stay_apart(tmp_path):
    for name in ("val/1.jpg", "train/2.jpg"):
        write_picture(tmp_path / name)
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["cat"]}
    drawn = {"type": "rectanglelabels", "value": value, "original_width": 96, "original_height": 80}
    tasks = [
        {"data": {"image": f"/data/local-files/?d=set/{name}.jpg"}, "annotations": [{"result": [drawn]}]}
        for name in ("train/1", "train/2")
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    assert [*lefts(read_folder(tmp_path))] == ["train/2.jpg"]


@pytest.mark.parametrize("parts", [("train", "val"), ("cam1", "cam2")])
def test_mask_matches_only_an_image_in_its_folder(tmp_path, parts):
    first, second = parts
    for name in (f"{second}/1", f"{first}/2", f"{second}/3"):
        write_picture(tmp_path / f"images/{name}.jpg")
    for name in (f"{first}/1", f"{first}/2", f"{second}/3"):
        write_picture(tmp_path / f"masks/{name}.png")
    source = masks_reader.read_folder(tmp_path)
    assert {image.source for image in source.images} == {f"images/{first}/2.jpg", f"images/{second}/3.jpg"}
    assert f"masks/{first}/1.png" in {d.file for d in source.defects}


def test_xml_file_of_a_lost_image_does_not_take_another_files_image(tmp_path):
    write_picture(tmp_path / "JPEGImages/2.jpg")
    sources.write_voc_file(tmp_path / "Annotations/1.xml", [("cat", (2, 21, 50, 60))], image="2.jpg")
    sources.write_voc_file(tmp_path / "Annotations/2.xml", [("cat", (3, 21, 50, 60))])
    source = read_source("voc", tmp_path)
    assert lefts(source) == {"JPEGImages/2.jpg": [2]}
    assert [d.file for d in source.defects] == ["Annotations/1.xml"]


@pytest.mark.parametrize("suffix", ["json", "xml"])
def test_copy_of_an_annotation_file_is_not_preferred(tmp_path, suffix):
    write_picture(tmp_path / "b.jpg")
    for name, left in (("b", 1), ("b (copy)", 2)):
        points = [[left, 20], [50, 20], [50, 60]]
        shapes = [{"label": "cat", "shape_type": "polygon", "points": points}]
        text = json.dumps({"shapes": shapes, "imagePath": "b.jpg", "imageWidth": 96, "imageHeight": 80})
        ring = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points)
        drawn = f"<object><name>cat</name><polygon>{ring}</polygon></object>"
        xml = f"<annotation><filename>b.jpg</filename>{drawn}</annotation>"
        (tmp_path / f"{name}.{suffix}").write_text(text if suffix == "json" else xml)
    source = labelme_reader.read_folder(tmp_path)
    assert lefts(source) == {"b.jpg": [1]}
    assert [d.file for d in source.defects] == [f"b (copy).{suffix}"]


@pytest.mark.parametrize("line", ["{}/0001.jpg", "{}/0001.jpg {}/0001.txt", "/home/me/set/{}/0001.jpg"])
def test_lists_distinguish_files_of_one_name_by_folder(tmp_path, line):
    for part in ("groupA", "groupB"):
        write_picture(tmp_path / part / "0001.jpg")
        (tmp_path / part / "0001.txt").write_text("10 20 50 60 3\n")
    (tmp_path / "trainval.txt").write_text(line.format("groupA", "groupA"))
    (tmp_path / "test.txt").write_text(line.format("groupB", "groupB"))
    source = plain_boxes.read_folder(tmp_path)
    assert [image.split for image in source.images] == ["train", "test"]
    assert not any("not here" in remark for remark in source.remarks)


def test_coco_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    for name in ("cam2/1.jpg", "cam1/2.jpg", "other/3.jpg"):
        write_picture(tmp_path / "pictures" / name)
    rows = {
        f"{name}.jpg": [{"bbox": [left, 20, 40, 40]}]
        for left, name in enumerate(("cam1/1", "cam2/1", "cam1/2", "gone/3"), 1)
    }
    sources.write_coco_file(tmp_path / "annotations/all.json", rows, categories={1: "cat"})
    source = read_source("coco", tmp_path)
    assert lefts(source) == {
        "pictures/cam1/2.jpg": [3],
        "pictures/cam2/1.jpg": [2],
        "pictures/other/3.jpg": [4],
    }
    assert [d.file for d in source.defects] == ["cam1/1.jpg"]


@pytest.mark.parametrize(
    ("stated", "image"),
    [
        ("upload/1/ab12cd00-{}.jpg", "images/{}.jpg"),
        ("/data/upload/7/ab12cd00-{}.jpg", "images/{}.jpg"),
        ("..\\..\\media\\upload\\1\\ab12cd00-{}.jpg", "images/{}.jpg"),
        ("ab12cd00-{}", "images/{}.jpg"),
        ("{}.jpg", "images/ab12cd00-{}.jpg"),
        ("upload/1/ab12cd00-{}.jpg", "images/ab12cd00-{}.jpg"),
    ],
)
def test_upload_is_matched_with_or_without_its_prefix(tmp_path, stated, image):
    names, images = [stated.format(n) for n in "abc"], [image.format(n) for n in "abc"]
    source = reader_read_folder(table(tmp_path, names, images=images))
    assert lefts(source) == {name: [n] for n, name in enumerate(images, 1)}
    assert source.defects == ()


def test_upload_beside_plain_names_is_matched(tmp_path):
    names = ["images/a.jpg", "upload/1/ab12cd00-b.jpg"]
    source = reader_read_folder(table(tmp_path, names, images=["images/a.jpg", "images/b.jpg"]))
    assert lefts(source) == {"images/a.jpg": [1], "images/b.jpg": [2]}


@pytest.mark.parametrize(
    ("names", "images", "found"),
    [
        (("ab12cd00-a.jpg", "ff12cd00-a.jpg"), ("a.jpg", "z.jpg"), {}),
        (("a.jpg", "ff12cd00-a.jpg"), ("a.jpg",), {"a.jpg": [1]}),
        (("a.jpg",), ("ab12cd00-a.jpg", "ff12cd00-a.jpg"), {}),
        (("20240131-a.jpg",), ("a.jpg",), {}),
    ],
)
def test_prefix_is_not_guessed_where_names_are_ambiguous(tmp_path, names, images, found):
    folder = table(tmp_path, [*names, "sure.jpg"], images=[*images, "sure.jpg"])
    source = reader_read_folder(folder)
    assert {name: box for name, box in lefts(source).items() if name != "sure.jpg"} == found


def test_xml_files_of_uploads_are_matched_without_prefix(tmp_path):
    write_picture(tmp_path / "images/a.jpg")
    sources.write_voc_file(tmp_path / "Annotations/ab12cd00-a.xml", [("cat", (2, 21, 50, 60))])
    source = read_source("voc", tmp_path)
    assert lefts(source) == {"images/a.jpg": [1]}
    assert [note.reason for note in source.images[0].notes] == ["its annotation calls it ab12cd00-a.jpg"]


def test_ambiguous_name_is_not_reported_as_the_image_of_another_row(tmp_path):
    images = ["images/0.jpg", "images/images/0.jpg"]
    names = ["images/0.jpg", "images/images/0.jpg", "0.jpg"]
    source = reader_read_folder(table(tmp_path, names, images=images, place="annotations"))
    assert not {image.source for image in source.images} & {d.file for d in source.defects}
