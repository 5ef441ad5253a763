"""Plausible but misleading class names and numbers: each is read right, told, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions, Source
from tests.sources import SIZE, write_picture, write_voc_file

NAMES = [f"im{number}" for number in range(12)]
CORNERS = [(4 + 5 * n, 8 + 3 * n, 24 + 5 * n, 28 + 3 * n) for n in range(12)]
EXTENTS = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in CORNERS]
CLASSES = [("scratch", "dent")[n % 2] for n in range(12)]

Draw = Callable[[Path], object]


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def draw_images(folder: Path, place: str = "images") -> None:
    for name in NAMES:
        write_picture(folder / place / f"{name}.jpg")


def yolo_line(number: int, cls: object = None) -> str:
    x, y, width, height = EXTENTS[number]
    shares = ((x + width / 2) / SIZE[0], (y + height / 2) / SIZE[1], width / SIZE[0], height / SIZE[1])
    return " ".join(map(str, (number % 2 if cls is None else cls, *shares)))


def draw_yolo(folder: Path, names: str = "scratch\ndent\n") -> None:
    draw_images(folder)
    for number, name in enumerate(NAMES):
        write(folder / f"labels/{name}.txt", yolo_line(number))
    write(folder / "classes.txt", names)


def draw_lines(folder: Path, lines: list[str], names: str = "", place: str = "labels") -> None:
    draw_images(folder)
    for name, line in zip(NAMES, lines, strict=True):
        write(folder / f"{place}/{name}.txt", line)
    if names:
        write(folder / "classes.txt", names)


def corner_lines(first: int = 0) -> list[str]:
    return [f"{' '.join(map(str, box))} {n % 2 + first}\n" for n, box in enumerate(CORNERS)]


def draw_keras(folder: Path, names: str = "scratch\ndent\n", first: int = 0) -> None:
    draw_images(folder, ".")
    lines = (f"{name}.jpg {','.join(map(str, CORNERS[n]))},{n % 2 + first}\n" for n, name in enumerate(NAMES))
    write(folder / "train.txt", "".join(lines))
    write(folder / "classes.txt", names)


def draw_sequence(folder: Path, names: str) -> None:
    for number in range(1, 13):
        write_picture(folder / f"seq/img1/{number:06d}.jpg")
    rows = (f"{n + 1},1,{','.join(map(str, box))},1,{n % 2 + 1},1\n" for n, box in enumerate(EXTENTS))
    write(folder / "seq/gt/gt.txt", "".join(rows))
    write(folder / "seq/gt/labels.txt", names)


def draw_datumaro(folder: Path, *names: str) -> None:
    draw_images(folder)
    items = [
        {
            "id": name,
            "annotations": [{"type": "bbox", "label_id": n % 2, "bbox": EXTENTS[n], "group": 0}],
            "image": {"path": f"{name}.jpg", "size": [SIZE[1], SIZE[0]]},
        }
        for n, name in enumerate(NAMES)
    ]
    labels = [{"name": name, "parent": ""} for name in names]
    write(folder / "annotations/default.json", {"categories": {"label": {"labels": labels}}, "items": items})


def read(folder: Path, **options: object) -> tuple[str, Source, list[tuple[str, list[float]]], str]:
    """Return the format, the source, the class and the box of each image in order, and the remarks."""
    form, source = recognize_source("auto", folder, ReadOptions(**options))
    by_name = {image.path.stem: image for image in source.images}
    found = [
        (source.names[cls], (box * (np.tile(SIZE, 2) if image.normalized else 1)).round(3).tolist())
        for name in NAMES
        if (image := by_name.get(name))
        for cls, box in zip(image.raw.classes.tolist(), image.raw.boxes, strict=True)
    ]
    return form, source, found, " | ".join(source.remarks)


RIGHT = [(name, list(map(float, box))) for name, box in zip(CLASSES, CORNERS, strict=True)]


@pytest.mark.parametrize(
    "draw",
    [
        lambda folder: draw_lines(folder, corner_lines(), "1 dent\n0 dent\n"),
        lambda folder: draw_keras(folder, "dent\ndent\n"),
        lambda folder: draw_sequence(folder, "dent\ndent\n"),
        lambda folder: draw_datumaro(folder, "dent", "dent"),
        lambda folder: draw_yolo(folder, "dent\ndent\n"),
    ],
    ids=["boxes", "kerasyolo", "mot", "datumaro", "yolo"],
)
def test_two_numbers_with_the_same_name_are_refused(tmp_path, draw):
    draw(tmp_path)
    with pytest.raises(UserError, match=r"two classes of .* are called .*'dent'.*: give each class its own"):
        recognize_source("auto", tmp_path)


@pytest.mark.parametrize(
    "draw",
    [
        lambda folder: draw_lines(folder, corner_lines(1), "scratch\ndent\n"),
        lambda folder: draw_keras(folder, first=1),
    ],
    ids=["boxes", "kerasyolo"],
)
def test_numbers_counted_from_1_are_refused_and_read_when_asked(tmp_path, draw):
    draw(tmp_path)
    with pytest.raises(UserError, match=r"are 1 to 2, 2 classes have a name.*set data\.first_class=1"):
        recognize_source("auto", tmp_path)
    assert read(tmp_path, first_class=1)[2] == RIGHT


@pytest.mark.parametrize(
    "draw",
    [
        lambda folder: draw_lines(folder, corner_lines(5), "a\nb\nc\n"),
        lambda folder: draw_keras(folder, "a\nb\nc\n", first=5),
    ],
    ids=["boxes", "kerasyolo"],
)
def test_many_numbers_without_a_name_are_refused_and_numbered_when_asked(tmp_path, draw):
    draw(tmp_path)
    with pytest.raises(UserError, match=r"12 of 12 objects have a class number without a name .*class 5"):
        recognize_source("auto", tmp_path)
    _, source, _, remarks = read(tmp_path, first_class=0)
    assert source.names == ("class_5", "class_6")
    assert "by number: class_5, class_6" in remarks


def test_names_of_classes_may_have_several_words(tmp_path):
    lines = [f"{CLASSES[n]} of paint {' '.join(map(str, box))}" for n, box in enumerate(CORNERS)]
    draw_lines(tmp_path, lines)
    form, _, found, _ = read(tmp_path)
    assert (form, found) == ("boxes", [(f"{name} of paint", box) for name, box in RIGHT])


def named_lines(boxes: list[tuple[int, ...]], score: str = "", end: str = "") -> list[str]:
    return [f"{CLASSES[n]}{score} {' '.join(map(str, box))}{end}\n" for n, box in enumerate(boxes)]


def test_flag_behind_an_object_does_not_matter(tmp_path):
    lines = named_lines(CORNERS)
    draw_lines(tmp_path, [*named_lines(CORNERS, end=" difficult")[:4], *lines[4:]], place="ground-truth")
    assert read(tmp_path)[2] == RIGHT


def test_text_files_of_a_model_are_left_aside(tmp_path):
    draw_lines(tmp_path, named_lines(CORNERS), place="input/ground-truth")
    draw_lines(tmp_path, named_lines(CORNERS[::-1], " 0.75"), place="input/detection-results")
    form, _, found, remarks = read(tmp_path)
    assert (form, found) == ("boxes", RIGHT)
    assert "model output, not labels: 12 files in input/detection-results" in remarks


def test_text_files_of_a_model_alone_are_refused_and_read_when_asked(tmp_path):
    draw_lines(tmp_path, named_lines(CORNERS, " 0.75"))
    with pytest.raises(UserError, match=r"every line of .* has a score: that is model output"):
        recognize_source("auto", tmp_path)
    assert read(tmp_path, predictions="labels")[2] == RIGHT


def test_class_and_x_y_width_height_in_pixels_are_refused(tmp_path):
    draw_lines(tmp_path, named_lines(EXTENTS))
    with pytest.raises(UserError, match=r"inverted as x1 y1 x2 y2, .* look like x y width height"):
        recognize_source("auto", tmp_path)
    assert len(read(tmp_path, labels="pixels")[2]) == 12


def test_list_of_images_and_boxes_is_no_label_of_one_image(tmp_path):
    draw_images(tmp_path, "Img/img/shirt")
    rows = (
        f"img/shirt/{name}.jpg  {' '.join(map(str, box))}" for name, box in zip(NAMES, CORNERS, strict=True)
    )
    write(tmp_path / "Anno/list_bbox.txt", "\n".join(("12", "image_name x_1 y_1 x_2 y_2", *rows)))
    with pytest.raises(UserError, match="no annotations recognized"):
        recognize_source("auto", tmp_path)


@pytest.mark.parametrize("count", [1, 2])
def test_few_lines_with_a_confidence_are_told_and_read_when_asked(tmp_path, count):
    draw_yolo(tmp_path)
    for number in range(count):
        label = tmp_path / f"labels/{NAMES[number]}.txt"
        label.write_text(f"{yolo_line(number)}\n1 0.5 0.5 0.2 0.2 0.{number + 7}3\n")
    _, _, found, remarks = read(tmp_path)
    assert found == RIGHT
    assert f"{count} of {12 + count} objects, in {count} image" in remarks
    assert "the predictions of a model do: left out (data.predictions=labels" in remarks
    assert len(read(tmp_path, predictions="labels")[2]) == 12 + count


def coco_document(ids: list[int], categories: dict[int, str]) -> dict[str, object]:
    images = [
        {"id": n, "file_name": f"{name}.jpg", "width": SIZE[0], "height": SIZE[1]}
        for n, name in enumerate(NAMES)
    ]
    rows = [
        {"id": n, "image_id": n, "category_id": number, "bbox": EXTENTS[n], "iscrowd": 0}
        for n, number in enumerate(ids)
    ]
    return {
        "images": images,
        "annotations": rows,
        "categories": [{"id": number, "name": name} for number, name in categories.items()],
    }


def test_coco_numbers_counted_from_0_are_refused(tmp_path):
    draw_images(tmp_path)
    write(tmp_path / "a.json", coco_document([n % 2 for n in range(12)], {1: "scratch", 2: "dent"}))
    with pytest.raises(UserError, match=r"6 of 12 .*not in its categories \(1, 2\), such as 0 \(they look"):
        recognize_source("auto", tmp_path)
    assert len(read(tmp_path, first_class=0)[2]) == 6


def test_coco_numbers_of_another_list_are_refused_and_single_ones_left_out(tmp_path):
    draw_images(tmp_path)
    write(tmp_path / "a.json", coco_document([1, 2] * 4 + [7, 8, 9, 1], {1: "scratch", 2: "dent"}))
    with pytest.raises(UserError, match=r"3 of 12 .* such as 7: correct the file"):
        recognize_source("auto", tmp_path)
    write(tmp_path / "a.json", coco_document([1, 2] * 5 + [7, 2], {1: "scratch", 2: "dent"}))
    assert read(tmp_path)[2] == [*RIGHT[:10], RIGHT[11]]


def test_coco_categories_with_one_name_are_told(tmp_path):
    draw_images(tmp_path)
    write(tmp_path / "a.json", coco_document([1, 2] * 6, {1: "dent", 2: "dent"}))
    _, source, _, remarks = read(tmp_path)
    assert source.names == ("dent",)
    assert "a.json: categories 1 and 2 are one class, called 'dent'" in remarks


DETECTIONS = {
    "images": [{"file": "im0.jpg", "detections": [{"category": "1", "bbox": [0, 0, 1, 1], "conf": 0.9}]}],
    "detection_categories": {"1": "animal"},
}
SEGMENTS = {
    **coco_document([], {1: "scratch"}),
    "annotations": [{"image_id": 0, "file_name": "im0.png", "segments_info": [{"category_id": 1}]}],
}
WITHOUT_BOXES = {
    **coco_document([], {1: "scratch"}),
    "annotations": [{"id": n, "image_id": n, "category_id": 1} for n in range(12)],
}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (DETECTIONS, r"detections of a model \(MegaDetector\)"),
        (SEGMENTS, "panoptic segments: take the file of instances"),
        (WITHOUT_BOXES, "a category to whole images, and no bbox .* a folder per class"),
    ],
)
def test_json_that_is_nearly_coco_is_refused_with_what_it_is(tmp_path, document, reason):
    draw_images(tmp_path)
    write(tmp_path / "annotations.json", document)
    with pytest.raises(UserError, match=reason):
        recognize_source("auto", tmp_path)


def draw_numbered_masks(folder: Path, numbers: list[list[int]], names: str = "") -> None:
    """Draw a mask per list, with a square for each of its numbers."""
    draw_images(folder)
    for name, listed in zip(NAMES, numbers, strict=True):
        mask = np.zeros((SIZE[1], SIZE[0]), np.uint16)
        for place, number in enumerate(listed):
            mask[10 * place : 10 * place + 8, 20:40] = number
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / f"masks/{name}.png")
    if names:
        write(folder / "classes.txt", names)


COUNTED = [list(range(1, 2 + n % 5)) for n in range(12)]


def test_masks_that_number_their_objects_are_read_as_objects(tmp_path):
    draw_numbered_masks(tmp_path, COUNTED)
    form, source, found, remarks = read(tmp_path)
    assert (form, source.names, len(found)) == ("masks", ("object",), sum(map(len, COUNTED)))
    assert "each is read as an object of one class" in remarks


def test_names_decide_that_numbers_are_classes(tmp_path):
    draw_numbered_masks(tmp_path, COUNTED, "1: a\n2: b\n3: c\n4: d\n5: e\n")
    assert read(tmp_path)[1].names == ("a", "b", "c", "d", "e")


def test_numbers_that_may_count_objects_are_told(tmp_path):
    draw_numbered_masks(tmp_path, [[1, 2, 3][: 1 + 2 * (n % 2)] for n in range(12)])
    _, source, _, remarks = read(tmp_path)
    assert source.names == ("class_1", "class_2", "class_3")
    assert "if they count objects, add a classes.txt that gives all numbers the same name" in remarks


def test_numbers_in_one_mask_alone_are_no_classes(tmp_path):
    draw_numbered_masks(tmp_path, [[1000 + 2 * n, 1001 + 2 * n] for n in range(12)])
    with pytest.raises(UserError, match="24 values, nearly each in one mask alone"):
        recognize_source("auto", tmp_path)


def test_numbers_that_skip_some_are_classes_without_a_word(tmp_path):
    draw_numbered_masks(tmp_path, [[[1, 2, 3], [2], [1, 3], [1, 2, 3, 4], [4]][n % 5] for n in range(12)])
    _, source, _, remarks = read(tmp_path)
    assert source.names == ("class_1", "class_2", "class_3", "class_4")
    assert "count objects" not in remarks


HEADER = "filename,class,xmin,ymin,xmax,ymax"


def table_rows(classes: list[object]) -> list[str]:
    return [f"{NAMES[n]}.jpg,{cls},{','.join(map(str, CORNERS[n]))}" for n, cls in enumerate(classes)]


def draw_table(folder: Path, rows: list[str], header: str = HEADER, file: str = "boxes.csv") -> None:
    draw_images(folder)
    write(folder / file, "\n".join((*([header] if header else []), *rows)) + "\n")


def test_numbers_in_a_table_are_named_by_a_list(tmp_path):
    draw_table(tmp_path, table_rows([n % 2 for n in range(12)]), HEADER.replace("class", "class_id"))
    write(tmp_path / "classes.txt", "scratch\ndent\n")
    _, _, found, remarks = read(tmp_path)
    assert found == RIGHT
    assert "the classes are numbers: classes.txt names them" in remarks


def test_numbers_in_a_table_counted_from_1_are_refused_and_read_when_asked(tmp_path):
    draw_table(tmp_path, table_rows([n % 2 + 1 for n in range(12)]))
    write(tmp_path / "classes.txt", "scratch\ndent\n")
    with pytest.raises(UserError, match=r"set data\.first_class=1"):
        recognize_source("auto", tmp_path)
    assert read(tmp_path, first_class=1)[2] == RIGHT


def test_list_of_images_names_no_classes(tmp_path):
    draw_table(tmp_path, table_rows([n % 2 for n in range(12)]))
    write(tmp_path / "labels.txt", "im0.jpg 1\nim1.jpg 0\n")
    assert read(tmp_path)[1].names == ("0", "1")


def test_pictures_of_the_classes_are_no_background(tmp_path):
    draw_table(tmp_path, table_rows([n % 2 for n in range(12)]))
    write_picture(tmp_path / "Meta/0.png")
    write(tmp_path / "Meta.csv", "Path,ClassId\nMeta/0.png,0\n")
    _, source, _, remarks = read(tmp_path)
    assert len(source.images) == 12
    assert "Meta.csv: classes of whole images, while other tables hold boxes: left aside" in remarks


def test_class_without_any_box_means_no_object(tmp_path):
    rows = [*table_rows(CLASSES[:8]), *(f"{name}.jpg,No finding,,,," for name in NAMES[8:])]
    draw_table(tmp_path, rows)
    _, source, found, remarks = read(tmp_path)
    assert (found, len(source.images)) == (RIGHT[:8], 12)
    assert not [note for image in source.images for note in image.notes]
    assert "a class without any box is taken for no object: 'No finding' in 4 rows" in remarks


def test_missing_box_of_a_class_with_boxes_is_a_finding(tmp_path):
    draw_table(tmp_path, [*table_rows(CLASSES[:11]), "im11.jpg,dent,,,,"])
    _, source, _, _ = read(tmp_path)
    assert [note.kind for image in source.images for note in image.notes] == ["malformed"]


def test_several_classes_of_an_image_are_refused(tmp_path):
    rows = [f"{name}.jpg,{int(n % 3 > 0)},{n % 2}" for n, name in enumerate(NAMES)]
    draw_table(tmp_path, rows, "filename,dent,scratch", "_classes.csv")
    with pytest.raises(UserError, match="4 of 12 rows give several classes to an image, and 2 give none"):
        recognize_source("auto", tmp_path)


def test_table_of_makesense_is_read(tmp_path):
    sides = ",".join(map(str, SIZE))
    rows = [f"{CLASSES[n]},{','.join(map(str, EXTENTS[n]))},{NAMES[n]}.jpg,{sides}" for n in range(12)]
    draw_table(tmp_path, rows, "")
    assert read(tmp_path)[2] == RIGHT


@pytest.mark.parametrize("first", ["7", "dent"])
def test_table_of_makesense_may_have_numbers_as_classes(tmp_path, first):
    sides = ",".join(map(str, SIZE))
    classes = [first, *("7" if n % 2 == 0 else "12" for n in range(1, 12))]
    rows = [f"{classes[n]},{','.join(map(str, EXTENTS[n]))},{NAMES[n]}.jpg,{sides}" for n in range(12)]
    draw_table(tmp_path, rows, "")
    found = read(tmp_path)[2]
    assert found == [(name, box) for name, (_, box) in zip(classes, RIGHT, strict=True)]


@pytest.mark.parametrize("is_numbered", [True, False])
def test_numbers_that_are_no_classes_are_not_taken_for_them(tmp_path, is_numbered):
    sides = ",".join(map(str, SIZE))
    heads = [
        f"{n},{','.join(map(str, EXTENTS[n]))}"
        if is_numbered
        else f"{','.join(map(str, CORNERS[n]))},{n % 2}"
        for n in range(12)
    ]
    draw_table(tmp_path, [f"{head},{NAMES[n]}.jpg,{sides}" for n, head in enumerate(heads)], "")
    with pytest.raises(UserError):
        recognize_source("auto", tmp_path)


def test_table_of_automl_is_read_with_its_splits(tmp_path):
    rows = []
    for n, (x1, y1, x2, y2) in enumerate(CORNERS):
        shares = [x1 / SIZE[0], y1 / SIZE[1], "", "", x2 / SIZE[0], y2 / SIZE[1], "", ""]
        split = "VALIDATE" if n % 4 == 0 else "TRAIN"
        rows.append(f"{split},gs://store/set/{NAMES[n]}.jpg,{CLASSES[n]},{','.join(map(str, shares))}")
    draw_table(tmp_path, rows, "")
    _, source, found, _ = read(tmp_path)
    assert found == RIGHT
    assert sorted(str(image.split) for image in source.images) == ["train"] * 9 + ["val"] * 3


def test_names_that_differ_in_case_alone_are_told(tmp_path):
    draw_table(tmp_path, table_rows(["Dent", *CLASSES[1:]]))
    _, source, _, remarks = read(tmp_path)
    assert source.names == ("Dent", "dent", "scratch")
    assert (
        "2 classes differ in case, blanks, hyphens or an ending like _aug alone: 'Dent' and 'dent' (data.cl"
        in remarks
    )


def test_numbered_options_of_a_project_of_via_are_named(tmp_path):
    draw_images(tmp_path)
    metadata = {
        name: {
            "filename": f"{name}.jpg",
            "regions": [
                {
                    "shape_attributes": dict(
                        zip(("name", "x", "y", "width", "height"), ("rect", *EXTENTS[n]), strict=True)
                    ),
                    "region_attributes": {"type": str(n % 2)},
                }
            ],
            "file_attributes": {},
        }
        for n, name in enumerate(NAMES)
    }
    options = {"type": "dropdown", "options": {"0": "scratch", "1": "dent"}}
    attributes = {"region": {"type": options}, "file": {}}
    write(tmp_path / "via.json", {"_via_img_metadata": metadata, "_via_attributes": attributes})
    assert read(tmp_path)[2] == RIGHT


def draw_voc(folder: Path, classes: list[str]) -> None:
    for name, cls, box in zip(NAMES, classes, CORNERS, strict=False):
        write_voc_file(folder / f"Annotations/{name}.xml", [(cls, box)])


def test_formats_that_name_the_same_boxes_differently_are_refused(tmp_path):
    draw_yolo(tmp_path, "dent\nscratch\n")
    draw_voc(tmp_path, CLASSES)
    with pytest.raises(UserError, match=r"in 12 of 12: im0\.jpg has dent as yolo and scratch as voc"):
        recognize_source("auto", tmp_path)
    assert recognize_source("voc", tmp_path).form == "voc"


def test_formats_with_other_numbers_of_objects_are_told(tmp_path):
    draw_yolo(tmp_path)
    draw_voc(tmp_path, CLASSES)
    with (tmp_path / "labels/im0.txt").open("a") as label:
        label.write("\n0 0.5 0.5 0.1 0.1\n")
    assert "13 objects as yolo and 12 as voc in the same images" in read(tmp_path)[3]


def test_images_that_another_format_annotates_alone_are_told(tmp_path):
    draw_yolo(tmp_path)
    draw_voc(tmp_path, CLASSES[:4])
    for name in NAMES[:4]:
        (tmp_path / f"labels/{name}.txt").unlink()
    form, source, _, remarks = read(tmp_path)
    assert (form, len(source.images)) == ("yolo", 8)
    assert "4 images annotated as voc alone" in remarks


def test_comment_in_a_list_is_no_class(tmp_path):
    draw_yolo(tmp_path, "# my classes\nscratch\ndent\n")
    assert read(tmp_path)[2] == RIGHT
    draw_keras(tmp_path / "keras", "# my classes\nscratch\ndent\n")
    assert read(tmp_path / "keras")[2] == RIGHT


def test_output_of_a_tracker_is_no_outline(tmp_path):
    draw_yolo(tmp_path)
    for n, name in enumerate(NAMES):
        write(tmp_path / f"labels/{name}.txt", f"{yolo_line(n)} 0.{50 + n} {n + 1}\n")
    with pytest.raises(UserError, match=r"12 of 12 lines end .* look like the output of a tracker"):
        recognize_source("auto", tmp_path)


def test_triangles_are_outlines(tmp_path):
    draw_yolo(tmp_path)
    for n, name in enumerate(NAMES):
        write(tmp_path / f"labels/{name}.txt", f"{n % 2} 0.1 0.1 0.5 0.1 0.3 0.{n + 10}\n")
    assert read(tmp_path)[1].task == "segment"


@pytest.mark.parametrize("name", ["unlabeled", "to_do", "Unsorted"])
def test_folder_of_images_without_a_class_is_no_class(tmp_path, name):
    for place in ("scratch", "dent", name):
        for image in NAMES[:4]:
            write_picture(tmp_path / place / f"{place}{image}.jpg")
    with pytest.raises(UserError, match=r"which is no class; data\.format=folders"):
        recognize_source("auto", tmp_path)


def test_classes_of_augmented_copies_are_told(tmp_path):
    for place in ("scratch", "dent", "dent_aug"):
        for image in NAMES[:4]:
            write_picture(tmp_path / place / f"{place}{image}.jpg")
    assert "an ending like _aug alone: 'dent' and 'dent_aug'" in read(tmp_path)[3]


@pytest.mark.parametrize("first", ["sep=,\n", "# drawn in May\n# by two people\n", '"sep=,"\r\n'])
def test_lines_before_the_header_of_a_table_are_skipped(tmp_path, first):
    draw_table(tmp_path, table_rows(CLASSES), f"{first}{HEADER}")
    assert read(tmp_path)[2] == RIGHT


def test_table_in_a_text_file_is_no_label_of_one_image(tmp_path):
    rows = [row.replace(",", "\t") for row in table_rows(CLASSES)]
    draw_table(tmp_path, rows, HEADER.replace(",", "\t"), "boxes.txt")
    with pytest.raises(UserError, match="no annotations recognized"):
        recognize_source("auto", tmp_path)


@pytest.mark.parametrize("row", ["none,0,0,0,0", ",-1,-1,-1,-1", "none,,,,"])
def test_row_of_zeros_means_no_object(tmp_path, row):
    draw_table(tmp_path, [*table_rows(CLASSES[:8]), *(f"{name}.jpg,{row}" for name in NAMES[8:])])
    _, source, found, _ = read(tmp_path)
    assert (found, len(source.images), source.names) == (RIGHT[:8], 12, ("dent", "scratch"))
    assert not [note for image in source.images for note in image.notes]


def test_list_of_names_that_is_not_used_is_told(tmp_path):
    draw_images(tmp_path)
    draw_voc(tmp_path, [str(n % 2) for n in range(12)])
    write(tmp_path / "classes.txt", "scratch\ndent\n")
    _, source, _, remarks = read(tmp_path)
    assert source.names == ("0", "1")
    assert "the classes are numbers, and classes.txt is not used for them" in remarks
