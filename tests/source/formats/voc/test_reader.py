"""Pascal VOC reader: known answers, with cases that supervision cannot read or ignores."""

import numpy as np
import pytest
import supervision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import read_source
from tests import sources
from tests.sources import write_picture


def write_dataset(folder, files, **stated):
    """Write NAME.xml and NAME.jpg for each entry."""
    for name, objects in files.items():
        write_picture(folder / "JPEGImages" / f"{name}.jpg")
        sources.write_voc_file(folder / "Annotations" / f"{name}.xml", objects, **stated)
    return folder


def write_image_sets(folder, **lists):
    (folder / "ImageSets/Main").mkdir(parents=True)
    for split, names in lists.items():
        (folder / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in names))


def objects_by_image(source):
    return {
        image.path.stem: [
            (source.names[c], *b) for c, b in zip(image.raw.classes, image.raw.boxes.tolist(), strict=True)
        ]
        for image in source.images
    }


def test_coordinates_start_at_one_and_classes_are_sorted(tmp_path):
    write_dataset(tmp_path, {"x": [("dog", (1, 1, 96, 80)), ("cat", (11, 21, 50.5, 60))], "y": []})
    source = read_source("voc", tmp_path)
    assert source.names == ("cat", "dog")
    assert objects_by_image(source) == {"x": [("dog", 0, 0, 96, 80), ("cat", 10, 20, 50.5, 60)], "y": []}
    assert source.images[0].size == (96, 80)
    assert source.images[0].source == "JPEGImages/x.jpg"
    assert [image.split for image in source.images] == [None, None]


INNER = [(3 + 4 * n, 5 + 3 * n, 43 + 4 * n, 37 + 3 * n) for n in range(12)]
"""Boxes that touch no edge."""
AT_ZERO = [(0, 20, 30, 40), (20, 0, 40, 30), (0, 0, 96, 80)]
AT_ONE = [(1, 20 + n, 30, 60) for n in range(12)]


@pytest.mark.parametrize(
    ("boxes", "first", "remark"),
    [
        ([*INNER, *AT_ZERO], 0, "3 of 15 objects begin at pixel 0"),
        ([*INNER, AT_ZERO[0]], 0, "1 of 13 objects begin at pixel 0"),
        ([*INNER, *AT_ZERO, (1, 7, 20, 30)], 0, "3 of 16 objects begin at pixel 0"),
        ([*INNER, (0.5, 20, 30, 40)], 0, "1 of 13 objects begin at pixel 0"),
        ([*INNER, (1, 1, 97, 81)], 1, ""),
        ([*INNER, *AT_ONE, AT_ZERO[0]], 1, "12 of 25 objects begin at pixel 1 and 1 at 0"),
        (INNER, 1, "no object clearly touches the left or top edge"),
        ([*INNER, (1, 9, 20, 30), (2, 9, 20, 30)], 1, "no object clearly touches the left or top edge"),
        ([], 1, ""),
    ],
)
def test_first_pixel_is_decided_for_the_whole_dataset(tmp_path, boxes, first, remark):
    write_dataset(tmp_path, {f"im{n:02}": [("cat", box)] for n, box in enumerate(boxes)} or {"x": []})
    source = read_source("voc", tmp_path)
    found = [image.raw.boxes.ravel().tolist() for image in source.images if len(image.raw.boxes)]
    assert found == [[max(x1 - first, 0), max(y1 - first, 0), x2, y2] for x1, y1, x2, y2 in boxes]
    assert any(remark in told for told in source.remarks) if remark else source.remarks == ()


def test_polygons_are_counted_as_the_boxes_are(tmp_path):
    write_dataset(tmp_path, {"y": [("cat", (0, 0, 10, 10))]})
    ring = "<x1>3</x1><y1>2</y1><x2>9</x2><y2>9.5</y2><x3>1</x3><y3>9</y3>"
    source = read_with_elements(tmp_path, f"<polygon>{ring}</polygon>")
    assert source.images[0].raw.outlines[0][0].tolist() == [[3, 2], [9, 9.5], [1, 9]]
    assert objects_by_image(source) == {"x": [("cat", 11, 21, 50, 60)], "y": [("cat", 0, 0, 10, 10)]}


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (("cat", (30, 20, 30, 40)), "object 2: no area: 30 20 30 40"),
        (("cat", (30, 20, 50, 20)), "object 2: no area"),
        (("", (30, 20, 50, 40)), "object 2: no name"),
        (("cat", ("x", 20, 50, 40)), "object 2: no bndbox of four numbers"),
        (("cat", ("1e300", 20, 50, 40)), "object 2: no bndbox of four numbers"),
        (("cat", ("nan", 20, 50, 40)), "object 2: no bndbox of four numbers"),
        (("cat", ("", 20, 50, 40)), "object 2: no bndbox of four numbers"),
    ],
)
def test_unreadable_object_is_dropped_and_the_others_are_kept(tmp_path, item, reason):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60)), item, ("dog", (2, 3, 4, 6))]})
    source = read_source("voc", tmp_path)
    assert objects_by_image(source) == {"x": [("cat", 10, 20, 50, 60), ("dog", 1, 2, 4, 6)]}
    assert source.images[0].raw.marks == ("object 1", "object 3")
    [note] = source.images[0].notes
    assert note.dropped
    assert note.reason.startswith(reason)


def test_reversed_corners_are_swapped_with_a_note(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (50, 60, 11, 21))]})
    source = read_source("voc", tmp_path)
    assert objects_by_image(source) == {"x": [("cat", 10, 20, 50, 60)]}
    [note] = source.images[0].notes
    assert (note.dropped, note.reason) == (False, "object 1: corners in the wrong order: 50 60 11 21")


def read_with_elements(folder, text):
    """Read x.xml with further elements in its object."""
    write_dataset(folder, {"x": [("cat", (11, 21, 50, 60))]})
    file = folder / "Annotations/x.xml"
    file.write_text(file.read_text().replace("</object>", f"{text}</object>"))
    return read_source("voc", folder)


def test_parts_of_an_object_are_ignored(tmp_path):
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
    part = f"<part><name>head</name>{box}</part>"
    source = read_with_elements(tmp_path, part)
    assert objects_by_image(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert source.task == "detect"


@pytest.mark.parametrize(
    ("polygon", "ring"),
    [
        ("<x1>1</x1><y1>2</y1><x2>9</x2><y2>9.5</y2><x3>1</x3><y3>9</y3>", [[0, 1], [8, 8.5], [0, 8]]),
        (
            "<pt><x>1</x><y>2</y></pt><pt><x>9</x><y>9.5</y></pt><pt><x>1</x><y>9</y></pt>",
            [[1, 2], [9, 9.5], [1, 9]],
        ),
    ],
)
def test_polygons_are_read_as_outlines(tmp_path, polygon, ring):
    source = read_with_elements(tmp_path, f"<polygon>{polygon}</polygon>")
    assert source.task == "segment"
    [[part]] = source.images[0].raw.outlines
    assert part.tolist() == ring
    assert objects_by_image(source) == {"x": [("cat", 10, 20, 50, 60)]}


@pytest.mark.parametrize("polygon", ["", "<x1>1</x1><y1>2</y1>", "<x1>x</x1>" * 6, "<x1>nan</x1>" * 6])
def test_invalid_polygon_is_dropped_and_the_box_is_kept(tmp_path, polygon):
    source = read_with_elements(tmp_path, f"<polygon>{polygon}</polygon>")
    assert (source.task, objects_by_image(source)) == ("detect", {"x": [("cat", 10, 20, 50, 60)]})


@pytest.mark.parametrize(
    ("xml", "image"),
    [
        ("annotations/x.xml", "images/x.png"),
        ("Annotations/x.xml", "x.jpg"),
        ("x.xml", "x.jpg"),
        ("x.xml", "images/x.jpg"),
        ("images/x.xml", "images/x.jpg"),
        ("train/annotations/x.xml", "train/images/x.jpg"),
        ("xmls/x.xml", "img/x.jpg"),
    ],
)
def test_common_folder_names_are_recognized(tmp_path, xml, image):
    write_picture(tmp_path / image)
    sources.write_voc_file(tmp_path / xml, [("cat", (11, 21, 50, 60))])
    source = read_source("auto", tmp_path)
    assert [entry.source for entry in source.images] == [image]
    assert source.defects == ()


def test_image_sets_are_splits_and_the_held_out_split_wins(tmp_path):
    write_dataset(tmp_path, {name: [("cat", (1, 21, 50, 60))] for name in "abcd"})
    write_image_sets(tmp_path, train=["a", "b"], val=["c"], test=["b  1"], trainval=["a", "b", "c"])
    source = read_source("voc", tmp_path)
    assert [image.split for image in source.images] == ["train", "test", "val", None]
    assert source.remarks == (
        "the lists in Main name 1 image in more than one split: each is kept in the held-out one",
    )


def test_list_that_is_not_text_is_refused(tmp_path):
    write_dataset(tmp_path, {"x": []})
    write_image_sets(tmp_path, train=["x"])
    (tmp_path / "ImageSets/Main/train.txt").write_bytes(b"x\xe2\x80x\n")
    with pytest.raises(UserError, match=r"train.txt cannot be read as UTF-8 text"):
        read_source("voc", tmp_path)


def test_file_with_another_name_than_its_image_is_matched_by_its_filename_element(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60))]}, image="renamed.jpg")
    (tmp_path / "JPEGImages/x.jpg").rename(tmp_path / "JPEGImages/renamed.jpg")
    assert objects_by_image(read_source("voc", tmp_path)) == {"renamed": [("cat", 10, 20, 50, 60)]}


def test_outdated_filename_element_does_not_swap_images(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60))]}, image="y.jpg")
    write_dataset(tmp_path, {"y": [("dog", (2, 3, 4, 6))]}, image="x.jpg")
    assert objects_by_image(read_source("voc", tmp_path)) == {
        "x": [("cat", 10, 20, 50, 60)],
        "y": [("dog", 1, 2, 4, 6)],
    }


def test_image_without_annotation_and_annotation_without_image_are_reported(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60))], "lone": []})
    (tmp_path / "JPEGImages/lone.jpg").unlink()
    write_picture(tmp_path / "JPEGImages/bare.jpg")
    write_picture(tmp_path / "JPEGImages/x.png")
    assert tuple(defect[:3] for defect in read_source("voc", tmp_path).defects) == (
        ("Annotations/lone.xml", "quarantined", "an annotation without an image"),
        ("JPEGImages/bare.jpg", "quarantined", "an image without an annotation"),
        ("JPEGImages/x.png", "quarantined", "an image without an annotation"),
    )


BOMB = """<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotation><filename>x.jpg</filename><object><name>&b;</name></object></annotation>"""
EXTERNAL = """<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<annotation><filename>&a;</filename></annotation>"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "its annotation x.xml declares XML entities, which can be used to attack a reader"),
        (EXTERNAL, "its annotation x.xml declares XML entities"),
        ("<annotation><object>", "its annotation x.xml is no XML"),
        ("", "its annotation x.xml is no XML"),
    ],
)
@pytest.mark.fault(1, "XML with entities")
def test_damaged_or_hostile_xml_affects_only_its_image(tmp_path, text, reason):
    write_dataset(tmp_path, {"x": [], "y": [("cat", (11, 21, 50, 60))]})
    (tmp_path / "Annotations/x.xml").write_text(text)
    source = read_source("voc", tmp_path)
    assert source.images[0].fault.startswith(reason)
    assert source.images[1].fault == ""
    assert source.names == ("cat",)


@pytest.mark.parametrize("size", [("", ""), (0, 0), ("x", 80)])
def test_invalid_size_is_ignored(tmp_path, size):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60))]}, size=size)
    assert read_source("voc", tmp_path).images[0].size is None


def test_subfolder_and_split_folders_of_roboflow_are_read(tmp_path):
    write_dataset(tmp_path / "outer/VOC2012", {"x": [("cat", (11, 21, 50, 60))]})
    assert read_source("voc", tmp_path / "outer").images[0].source == "VOC2012/JPEGImages/x.jpg"
    for part in ("train", "valid"):
        write_picture(tmp_path / f"rf/{part}/x.jpg")
        sources.write_voc_file(tmp_path / f"rf/{part}/x.xml", [("cat", (11, 21, 50, 60))])
    source = read_source("voc", tmp_path / "rf")
    assert {image.source: image.split for image in source.images} == {
        "train/x.jpg": "train",
        "valid/x.jpg": "val",
    }


@pytest.mark.parametrize(("xml", "images"), [("Annotations/{}", "JPEGImages/{}"), ("{}", "{}")])
@pytest.mark.parametrize("places", [("train", "val"), ("monday", "tuesday")])
def test_images_with_equal_names_in_two_folders_keep_their_annotations(tmp_path, xml, images, places):
    for place, label in zip(places, ("cat", "dog"), strict=True):
        write_picture(tmp_path / images.format(place) / "x.jpg")
        sources.write_voc_file(tmp_path / xml.format(place) / "x.xml", [(label, (11, 21, 50, 60))])
    source = read_source("auto", tmp_path)
    assert [image.source for image in source.images] == [f"{images.format(place)}/x.jpg" for place in places]
    assert [source.names[image.raw.classes[0]] for image in source.images] == ["cat", "dog"]
    assert [image.split for image in source.images] == (["train", "val"] if "val" in places else [None] * 2)
    assert source.defects == ()


def test_files_in_subfolders_are_read(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (11, 21, 50, 60))], "more/y": []})
    for name in ("SegmentationClass", "SegmentationObject"):
        write_picture(tmp_path / name / "x.png")
    source = read_source("voc", tmp_path)
    assert list(objects_by_image(source)) == ["y", "x"]
    assert source.defects == ()


def test_no_dataset_or_several_datasets_are_refused(tmp_path):
    with pytest.raises(UserError, match="no VOC annotations in"):
        read_source("voc", tmp_path)
    for name in ("VOC2007", "VOC2012"):
        write_dataset(tmp_path / name, {"x": []})
    with pytest.raises(UserError, match=r"data\.source=\[.*VOC2007,.*VOC2012\]"):
        read_source("voc", tmp_path)


def write_pairs(folder, pairs):
    """Write an image x.jpg or the named one into each place, and an XML file of its name into the other."""
    for xml, image in pairs:
        write_picture(folder / image)
        sources.write_voc_file(folder / xml, [("cat", (11, 21, 50, 60))])


@pytest.mark.parametrize(
    "pairs",
    [
        [("annotations/x.xml", "images/x.jpg"), ("test/annotations/y.xml", "test/images/y.jpg")],
        [("annotations/x.xml", "images/x.jpg"), ("test/annotations/x.xml", "test/images/x.jpg")],
        [("train/x.xml", "train/x.jpg"), ("valid/y.xml", "valid/y.jpg"), ("batch2/x.xml", "batch2/x.jpg")],
        [("annotations/x.xml", "images/x.jpg"), ("val_annotations/y.xml", "val_images/y.jpg")],
        [("annotations/x.xml", "images/x.jpg"), ("annotations_2/y.xml", "images/y.jpg")],
    ],
)
def test_annotated_images_beside_those_that_would_be_read_are_refused(tmp_path, pairs):
    write_pairs(tmp_path, pairs)
    with pytest.raises(UserError, match=r"1 XML file in (test/annotations|batch2|val_annotations|annot.*_2)"):
        read_source("voc", tmp_path)


def test_copies_of_the_annotations_are_told(tmp_path):
    write_pairs(tmp_path, [("annotations/x.xml", "images/x.jpg"), ("old/x.xml", "images/x.jpg")])
    (tmp_path / "annotations.xml").write_text("<annotations></annotations>")
    source = read_source("voc", tmp_path)
    assert objects_by_image(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert [remark for remark in source.remarks if "1 XML file in old" in remark]


def test_splits_in_folders_of_their_own_are_read_as_one(tmp_path):
    write_pairs(
        tmp_path,
        [("train_zip/train/x.xml", "train_zip/train/x.jpg"), ("test_zip/test/y.xml", "test_zip/test/y.jpg")],
    )
    source = read_source("auto", tmp_path)
    assert {image.source: image.split for image in source.images} == {
        "train_zip/train/x.jpg": "train",
        "test_zip/test/y.jpg": "test",
    }


def test_one_split_alone_is_none(tmp_path):
    write_pairs(tmp_path, [("test/annotations/x.xml", "test/images/x.jpg")])
    source = read_source("voc", tmp_path)
    assert [image.split for image in source.images] == [None]
    assert [remark for remark in source.remarks if "no split but test, for 1 of 1 image" in remark]


def test_valid_data_equals_the_result_of_supervision(tmp_path):
    rng = np.random.default_rng(0)
    boxes = [[1 + rng.uniform(0, 40, 2), 50 + rng.uniform(0, 30, 2)] for _ in range(8)]
    objects = [("ab"[number % 2], np.concatenate(box).tolist()) for number, box in enumerate(boxes)]
    write_dataset(tmp_path, {"x": objects[:5], "y": objects[5:]})
    theirs = supervision.DetectionDataset.from_pascal_voc(
        str(tmp_path / "JPEGImages"), str(tmp_path / "Annotations")
    )
    source = read_source("voc", tmp_path)
    for image in source.images:
        expected = theirs.annotations[str(image.path)]
        np.testing.assert_allclose(image.raw.boxes, expected.xyxy, rtol=1e-6)
        named = [theirs.classes[index] for index in expected.class_id]
        assert [source.names[index] for index in image.raw.classes] == named


TAGS = (
    "object",
    "name",
    "bndbox",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "polygon",
    "x1",
    "y1",
    "pt",
    "x",
    "size",
    "width",
)
XML = st.recursive(
    st.sampled_from(["", "1", "-7", "1e400", "nan", "cat", "&lt;", "\u0663", "5 6"]),
    lambda inner: st.lists(st.tuples(st.sampled_from(TAGS), inner), max_size=5).map(
        lambda pairs: "".join(f"<{tag}>{text}</{tag}>" for tag, text in pairs)
    ),
    max_leaves=20,
)


@given(XML.map(lambda inside: f"<annotation>{inside}</annotation>") | st.text(max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_xml_is_read_without_an_error(tmp_path, text):
    if not (tmp_path / "Annotations").exists():
        write_dataset(tmp_path, {"x": []})
    (tmp_path / "Annotations/x.xml").write_text(text, encoding="utf-8", errors="replace")
    [image] = read_source("voc", tmp_path).images
    assert len(image.raw.marks) == len(image.raw.boxes)
    assert np.isfinite(image.raw.boxes).all()


def test_lists_of_tools_are_splits_too(tmp_path):
    write_dataset(tmp_path, {name: [("cat", (1, 21, 50, 60))] for name in ("img 1", "img 2", "c")})
    write_image_sets(tmp_path, Train=["img 1.jpg"], Validation=["c"], Test=["img 2"])
    source = read_source("voc", tmp_path)
    assert {image.path.stem: image.split for image in source.images} == {
        "img 1": "train",
        "img 2": "test",
        "c": "val",
    }
    assert not any("more than one split" in remark for remark in source.remarks)


def test_a_box_that_cvat_rotated_is_the_box_around_it(tmp_path):
    write_dataset(tmp_path, {"x": [("cat", (20, 35, 80, 45)), ("dog", (20, 35, 80, 45))]})
    file = tmp_path / "Annotations/x.xml"
    rotation = (
        "<attributes><attribute><name>rotation</name><value>{}</value></attribute></attributes></object>"
    )
    first, second, rest = file.read_text().split("</object>")
    file.write_text(f"{first}{rotation.format('90.0')}{second}{rotation.format('0.0')}{rest}")
    source = read_source("voc", tmp_path)
    assert objects_by_image(source) == {"x": [("cat", 44, 9, 55, 70), ("dog", 19, 34, 80, 45)]}
    assert next(note.reason for image in source.images for note in image.notes).startswith(
        "object 1: rotated by 90.0 degrees"
    )


def test_images_of_one_name_in_two_folders_have_splits_of_their_own(tmp_path):
    write_dataset(tmp_path, {"a/1": [("cat", (1, 21, 50, 60))], "b/1": [("cat", (1, 21, 50, 60))]})
    write_image_sets(tmp_path, train=["a/1"], test=["b/1"])
    assert [image.split for image in read_source("voc", tmp_path).images] == ["train", "test"]
