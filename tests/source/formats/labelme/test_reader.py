"""LabelMe reader: known answers for shapes, embedded images, groups, and XML of the web tool."""

import base64
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.prepare.images.check import check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.source.formats.labelme.reader import matches_folder as reader_matches_folder
from pipeline.source.formats.labelme.reader import read_folder
from pipeline.source.formats.voc.reader import matches_folder
from tests.readings import (
    check_corrupted_source,
    corrupted_bytes,
    corrupted_json,
    find_real_dataset,
    get_boxes,
    get_notes,
    get_outlines,
)
from tests.sources import write_picture

SQUARE = [[10, 20], [50, 20], [50, 60], [10, 60]]


def shape(kind, points, label="cat", **more):
    return {"label": label, "shape_type": kind, "points": points, **more}


def document(shapes, name="x.jpg", **more):
    return {
        "shapes": shapes,
        "imagePath": name,
        "imageData": None,
        "imageWidth": 96,
        "imageHeight": 80,
        **more,
    }


def write(folder, name, shapes, **more):
    write_picture(folder / f"{name}.jpg")
    (folder / f"{name}.json").write_text(json.dumps(document(shapes, f"{name}.jpg", **more)))
    return folder


@pytest.mark.parametrize(
    ("drawn", "box"),
    [
        (shape("rectangle", [[10, 20], [50, 60]]), (10, 20, 50, 60)),
        (
            shape("rectangle", [[50, 60], [10, 20]]),
            (10, 20, 50, 60),
        ),  # drawn from the lower right: no mistake
        (shape("rectangle", SQUARE), (10, 20, 50, 60)),
        (shape("polygon", SQUARE), (10, 20, 50, 60)),
        (shape("polygon", [*SQUARE, SQUARE[0]]), (10, 20, 50, 60)),
        ({"label": "cat", "points": SQUARE}, (10, 20, 50, 60)),  # before version 3 all were polygons
        (shape("circle", [[30, 40], [30, 60]]), (10, 20, 50, 60)),
        (shape("rotation", [[30, 20], [50, 40], [30, 60], [10, 40]]), (10, 20, 50, 60)),
    ],
)
def test_shape_is_read_with_its_box(tmp_path, drawn, box):
    source = read_folder(write(tmp_path, "x", [drawn]))
    assert get_boxes(source) == {"x": [("cat", *box)]}
    assert (source.images[0].size, source.images[0].source, source.defects) == ((96, 80), "x.jpg", ())


@pytest.mark.parametrize(
    ("kinds", "task"),
    [
        (["rectangle"], "detect"),
        (["polygon"], "segment"),
        (["circle"], "segment"),
        (["rotation"], "obb"),
        (["rectangle", "rotation"], "obb"),
        (["rectangle", "polygon"], "detect"),
        (["polygon"] * 19 + ["rectangle"], "segment"),
    ],
)
def test_task_is_inferred_from_the_shapes(tmp_path, kinds, task):
    points = {"rectangle": [[1, 2], [30, 40]], "circle": [[30, 40], [30, 50]]}
    source = read_folder(write(tmp_path, "x", [shape(kind, points.get(kind, SQUARE)) for kind in kinds]))
    assert source.task == task
    assert bool(source.remarks) == (len(set(kinds)) > 1)


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        (shape("line", [[1, 2], [3, 4]]), "a line of 2 points, which has no area"),
        (shape("linestrip", SQUARE), "a linestrip of 4 points, which has no area"),
        (shape("point", [[1, 2]]), "a point, in no group with one object around it"),
        (shape("polygon", SQUARE[:2]), "an outline of 2 points"),
        (
            shape("polygon", [[1, float("nan")], [3, 4], [5, 6]]),
            "'nan' is no number that a coordinate can be",
        ),
        (shape("polygon", [[1, 10**400], [3, 4], [5, 6]]), "is no number that a coordinate can be"),
        (shape("polygon", [[1], [3, 4], [5, 6]]), "points that are no pairs of x and y"),
        (shape("polygon", None), "no points"),
        (shape("circle", [[3, 4], [3, 4]]), "no area: radii of 0 and 0"),
        (shape("rectangle", SQUARE[:1]), "a rectangle of 1 point, which has no area"),
        (shape("mask", [[1, 2], [3, 4]], mask="no PNG"), "a mask that is not in base64"),
        (shape("mask", [[1, 2], [3, 4]], mask="AAAA"), "a mask that is no image"),
        (shape("polygon", SQUARE, label=" "), "no class"),
        (shape("polygon", SQUARE, label=None), "no class"),
        (shape("polygon", SQUARE, label="__ignore__"), "labelled __ignore__, which is no class"),
        ("nonsense", "no shape"),
    ],
)
def test_invalid_object_becomes_a_note_and_others_are_read(tmp_path, drawn, reason):
    source = read_folder(write(tmp_path, "x", [shape("polygon", SQUARE), drawn]))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    [(dropped, words)] = get_notes(source)["x"]
    assert dropped
    assert words.startswith("shape 2: ")
    assert reason in words


def test_outlines_of_one_group_are_joined_to_one_object(tmp_path):
    left, right = [[0, 0], [10, 0], [10, 10]], [[20, 0], [30, 0], [30, 10]]
    other = shape("polygon", SQUARE, "dog", group_id=2)
    source = read_folder(
        write(tmp_path, "x", [shape("polygon", left, group_id=1), other, shape("polygon", right, group_id=1)])
    )
    assert get_boxes(source) == {"x": [("cat", 0, 0, 30, 10), ("dog", 10, 20, 50, 60)]}
    assert get_outlines(source)["x"] == [[left, right], [SQUARE]]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_boxes_equal_those_of_supervision(tmp_path_factory, seed):
    from supervision.dataset.formats.labelme import labelme_shapes_to_detections

    rng = np.random.default_rng(seed)
    drawn = [
        shape(kind, (rng.random((corners, 2)) * 80).tolist(), label, group_id=group)
        for kind, corners, label, group in (
            ("rectangle", 2, "a", None),
            ("polygon", 3, "b", 1),
            ("polygon", 5, "b", 1),
            ("polygon", 7, "a", 1),
        )
    ]
    folder = tmp_path_factory.getbasetemp() / "labelme_oracle"
    found = get_boxes(read_folder(write(folder, "x", drawn)))["x"]
    oracle = labelme_shapes_to_detections(drawn, {"a": 0, "b": 1}, (96, 80), with_masks=False)
    expected = sorted(zip(oracle.class_id.tolist(), oracle.xyxy.tolist(), strict=True))
    assert len(found) == len(expected) == 3
    for (label, *box), (index, stated) in zip(sorted(found), expected, strict=True):
        assert label == "ab"[index]
        assert box == pytest.approx(stated, abs=1e-3)


def test_points_grouped_with_a_rectangle_are_a_pose(tmp_path):
    def posed(group, x):
        return [
            shape("rectangle", [[x, 10], [x + 20, 40]], "cat", group_id=group),
            shape("point", [[x + 5, 15]], "left_eye", group_id=group),
            shape("point", [[x + 15, 15]], "right_eye", group_id=group),
        ]

    source = read_folder(write(tmp_path, "x", [*posed(1, 0), *posed(2, 40)[:2]]))
    assert (source.task, source.names) == ("pose", ("cat",))
    assert source.keypoints.names == ("left_eye", "right_eye")
    assert source.keypoints.flip == (1, 0)
    first, second = source.images[0].raw.keypoints
    assert first.tolist() == [[5, 15, 2], [15, 15, 2]]
    assert second.tolist() == [[45, 15, 2], [0, 0, 0]]  # not labelled


def test_difficult_point_is_hidden(tmp_path):
    shapes = [
        shape("rectangle", [[0, 10], [20, 40]], "cat", group_id=1, difficult=True),
        shape("point", [[5, 15]], "left_eye", group_id=1, difficult=True),
        shape("point", [[15, 15]], "right_eye", group_id=1, difficult=False),
    ]
    source = read_folder(write(tmp_path, "x", shapes))
    assert source.images[0].raw.keypoints[0].tolist() == [[5, 15, 1], [15, 15, 2]]


def test_second_point_of_one_name_becomes_a_note(tmp_path):
    shapes = [
        shape("rectangle", [[0, 10], [20, 40]], "cat", group_id=1),
        shape("point", [[5, 15]], "eye", group_id=1),
        shape("point", [[15, 15]], "eye", group_id=1),
    ]
    source = read_folder(write(tmp_path, "x", shapes))
    assert source.images[0].raw.keypoints[0].tolist() == [[5, 15, 2]]
    assert [(note.dropped, note.kind) for note in source.images[0].notes] == [(True, "malformed")]


def test_mask_is_outlined_at_its_position_and_its_hole_is_noted(tmp_path):
    mask = np.full((11, 21), 1, np.uint8)
    mask[4:6, 4:6] = 0
    png = base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()
    source = read_folder(write(tmp_path, "x", [shape("mask", [[10, 20], [30, 30]], mask=png)]))
    assert get_boxes(source) == {"x": [("cat", 10, 20, 31, 31)]}
    assert get_notes(source)["x"] == [(False, "shape 1: 1 hole is filled, for labels have none")]


def test_flags_are_image_classes(tmp_path):
    write(tmp_path, "x", [], flags={"cat": True, "dog": False})
    write(tmp_path, "y", [], flags={"cat": True, "dog": True})
    source = read_folder(write(tmp_path, "z", [], flags={"cat": False, "dog": False}))
    assert (source.task, source.names) == ("classify", ("cat", "dog"))
    assert [image.fault for image in source.images] == [
        "",
        "2 classes are given for it: cat, dog",
        "no class is given for it",
    ]
    assert get_boxes(source)["x"] == [("cat", 0, 0, 1, 1)]
    assert source.images[0].normalized


def test_chinese_labels_and_file_names_are_read(tmp_path):
    source = read_folder(write(tmp_path, "照片", [shape("polygon", SQUARE, "不导电")]))
    assert get_boxes(source) == {"照片": [("不导电", 10, 20, 50, 60)]}


def test_embedded_image_is_extracted(tmp_path):
    write_picture(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    (tmp_path / "x.jpg").unlink()
    held = document([shape("rectangle", [[10, 20], [50, 60]])], imageData=base64.b64encode(data).decode())
    (tmp_path / "x.json").write_text(json.dumps(held))
    before = sorted(tmp_path.iterdir())
    source = read_folder(tmp_path)
    [image] = source.images
    found = check_image(image.path, image.load)
    assert (found.data, found.suffix, found.size, found.notes) == (data, ".jpg", (96, 80), ())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("held", ["*", "/9j/4A==", "AAAA"])
def test_embedded_data_that_is_not_an_image_is_reported(tmp_path, held):
    (tmp_path / "x.json").write_text(json.dumps(document([shape("polygon", SQUARE)], imageData=held)))
    [image] = read_folder(tmp_path).images
    with pytest.raises(UnusableImageError):
        check_image(image.path, image.load)


def test_unmatched_images_and_annotations_are_reported(tmp_path):
    write(tmp_path, "x", [shape("polygon", SQUARE)])
    write_picture(tmp_path / "bare.jpg")
    (tmp_path / "lone.json").write_text(json.dumps(document([], "gone.jpg")))
    (tmp_path / "cut.json").write_text('{"shapes": [')
    (tmp_path / "other.json").write_text('{"names": ["cat"]}')
    source = read_folder(tmp_path)
    assert [(defect.file, defect.verdict) for defect in source.defects] == [
        ("cut.json", "quarantined"),
        ("lone.json", "quarantined"),
        ("bare.jpg", "quarantined"),
    ]
    assert "is no JSON" in source.defects[0].reason
    assert source.remarks == ("other.json: no annotation of LabelMe: left aside",)


def test_image_is_matched_to_the_nearest_annotation_file(tmp_path):
    for folder, label in (("a", "cat"), ("b", "dog"), ("c", "ant")):
        drawn = [shape("polygon", SQUARE, label)]
        write(tmp_path / folder, "x", drawn, **({"imageData": "AAAA"} if folder == "c" else {}))
    (tmp_path / "a/x.jpg").unlink()
    (tmp_path / "c/x.jpg").unlink()
    source = read_folder(tmp_path)
    assert [(image.source, source.names[image.raw.classes[0]]) for image in source.images] == [
        ("b/x.jpg", "dog"),
        ("c/x.json", "ant"),  # holds its image
    ]
    assert [(d.file, d.reason) for d in source.defects] == [("a/x.json", "a second annotation of b/x.jpg")]


def test_dot_in_a_name_is_not_a_suffix(tmp_path):
    write(tmp_path, "v1", [shape("polygon", SQUARE)])
    write(tmp_path, "v1.2", [shape("polygon", SQUARE, "dog")])
    (tmp_path / "v1.3.json").write_text(json.dumps(document([shape("polygon", SQUARE, "ant")], "v1.3.jpg")))
    source = read_folder(tmp_path)
    assert {name: label for name, [(label, *_)] in get_boxes(source).items()} == {"v1": "cat", "v1.2": "dog"}
    assert [defect.file for defect in source.defects] == ["v1.3.json"]


def test_path_outside_the_source_matches_only_images_of_the_source(tmp_path):
    write_picture(tmp_path / "secret.jpg")
    inside = tmp_path / "in"
    write(inside, "x", [])
    (inside / "y.json").write_text(json.dumps(document([], "../secret.jpg")))
    source = read_folder(inside)
    assert [image.source for image in source.images] == ["x.jpg"]
    assert [defect.file for defect in source.defects] == ["y.json"]


def test_folder_without_images_is_refused(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(document([])))
    with pytest.raises(UserError, match=r"no image in .* has an annotation; the first: x\.json"):
        read_folder(tmp_path)


XML = (
    "<annotation><filename>x.jpg</filename><folder>a</folder>"
    "<object><name>cat</name><deleted>0</deleted><polygon>"
    "<pt><x>10</x><y>20</y></pt><pt><x>50</x><y>20</y></pt><pt><x>50</x><y>60</y></pt></polygon></object>"
    "<object><name>dog</name><deleted>1</deleted><polygon/></object>"
    "<object><name>dog</name><type>bounding_box</type><polygon>"
    "<pt><x>1</x><y>2</y></pt><pt><x>5</x><y>2</y></pt><pt><x>5</x><y>6</y></pt></polygon></object>"
    "<object><name>mask</name><segm><mask>x_mask_3.png</mask></segm></object>"
    "<object><name>gone</name><segm><mask>../../x.png</mask></segm></object>"
    "<imagesize><nrows>80</nrows><ncols>96</ncols></imagesize></annotation>"
)


def web_tool(folder, text=XML):
    write_picture(folder / "Images/a/x.jpg")
    mask = np.zeros((80, 96), np.uint8)
    mask[30:40, 20:30] = 1
    (folder / "Masks/a").mkdir(parents=True, exist_ok=True)
    (folder / "Masks/a/x_mask_3.png").write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    (folder / "Annotations/a").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations/a/x.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_xml_of_the_web_tool_is_read(tmp_path):
    assert reader_matches_folder(web_tool(tmp_path))
    source = read_folder(tmp_path)
    assert get_boxes(source) == {
        "x": [("cat", 10, 20, 50, 60), ("dog", 1, 2, 5, 6), ("mask", 20, 30, 30, 40)]
    }
    assert get_notes(source) == {
        "x": [(True, "object 5: its mask x.png cannot be read (No such file or directory)")]
    }
    assert source.images[0].size == (96, 80)
    assert source.defects == ()  # Masks/ holds no images of the dataset
    assert not matches_folder(tmp_path)
    (tmp_path / "Annotations/x.xml").write_text(XML)
    assert not matches_folder(tmp_path)


def test_xml_entities_are_not_expanded(tmp_path):
    text = '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + XML.replace("cat", "&e;")
    [image] = read_folder(web_tool(tmp_path, text)).images
    assert image.fault == "its annotation x.xml declares XML entities, which can be used to attack a reader"


@pytest.mark.parametrize(
    ("name", "images", "objects"), [("labelme2datasets", 4, 10), ("datumaro-assets/labelme_dataset", 1, 7)]
)
def test_real_datasets_are_read(name, images, objects):
    source = read_folder(find_real_dataset(name))
    assert reader_matches_folder(find_real_dataset(name))
    assert len(source.images) == images
    assert sum(len(image.raw.classes) for image in source.images) == objects
    assert source.defects == ()


def test_real_embedded_images_are_decoded():
    source = read_folder(find_real_dataset("labelme2datasets"))
    sizes = {image.path.stem: check_image(image.path, image.load).size for image in source.images[:2]}
    assert sizes == {"sample": (1210, 907), "20180928115506": (2560, 1920)}
    assert "不导电" in source.names


FUZZED = document(
    [
        shape("polygon", SQUARE, group_id=1),
        shape("rectangle", SQUARE[:2], group_id=2),
        shape("point", [[1, 2]], "p", group_id=2),
    ],
    imageData="AAAA",
    flags={"cat": True},
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write(tmp_path_factory.mktemp("spoilt"), "x", [])


@given(data=corrupted_json(FUZZED))
@settings(max_examples=150, deadline=None)
def test_corrupted_json_is_refused_or_read(place, data):
    (place / "x.json").write_bytes(data)
    check_corrupted_source(read_folder, place)


@given(data=corrupted_bytes(XML.encode()))
@settings(max_examples=80, deadline=None)
def test_corrupted_xml_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_xml"
    check_corrupted_source(read_folder, web_tool(folder, data))


def test_output_of_labelme_converters_is_left_aside(tmp_path):
    (tmp_path / "annotated").mkdir()
    write(tmp_path / "annotated", "x", [shape("polygon", SQUARE)])
    for name in ("JPEGImages/x.jpg", "SegmentationClassPNG/x.png", "SegmentationClassVisualization/x.jpg"):
        write_picture(tmp_path / "voc" / name)
    for name in ("img.png", "label.png", "label_viz.png"):
        write_picture(tmp_path / "annotated/x_json" / name)
    source = read_folder(tmp_path)
    assert [image.source for image in source.images] == ["annotated/x.jpg"]
    assert source.defects == ()


def test_images_in_a_folder_of_voc_are_read_if_there_are_no_others(tmp_path):
    write_picture(tmp_path / "JPEGImages/x.jpg")
    write_picture(tmp_path / "SegmentationClass/x.png")
    (tmp_path / "x.json").write_text(json.dumps(document([shape("polygon", SQUARE)])))
    assert [image.source for image in read_folder(tmp_path).images] == ["JPEGImages/x.jpg"]
