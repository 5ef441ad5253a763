"""Plausible but misleading files of tools: values of another meaning, model output, other label folders.

Every case draws the same twelve images with one box each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests.sources import SIZE, write_coco_file, write_picture, write_voc_file

NAMES = [f"im{number}" for number in range(12)]
CORNERS = [(4 + 5 * n, 8 + 3 * n, 24 + 5 * n, 28 + 3 * n) for n in range(12)]
EXTENTS = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in CORNERS]
SHARES = [((x + w / 2) / SIZE[0], (y + h / 2) / SIZE[1], w / SIZE[0], h / SIZE[1]) for x, y, w, h in EXTENTS]
Boxes = Sequence[tuple[int, ...]]


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))


def draw_images(folder: Path, place: str = "images", names: Sequence[str] = NAMES) -> None:
    for name in names:
        write_picture(folder / place / f"{name}.jpg")


def draw_kitti(folder: Path, boxes: Boxes) -> None:
    draw_images(folder, "training/image_2")
    for name, box in zip(NAMES, boxes, strict=True):
        sides = " ".join(map(str, box))
        write(folder / f"training/label_2/{name}.txt", f"Car 0.00 0 -1.57 {sides} 1.6 1.6 4 1 1 9 -1.6\n")


def draw_visdrone(folder: Path, boxes: Boxes) -> None:
    draw_images(folder)
    for name, box in zip(NAMES, boxes, strict=True):
        write(folder / f"annotations/{name}.txt", f"{','.join(map(str, box))},1,4,0,0\n")


def draw_mot(folder: Path, boxes: Boxes) -> None:
    for number in range(1, 13):
        write_picture(folder / f"seq/img1/{number:06d}.jpg")
    rows = (f"{n},1,{','.join(map(str, box))},1,1,1\n" for n, box in enumerate(boxes, 1))
    write(folder / "seq/gt/gt.txt", "".join(rows))


def draw_wider(folder: Path, boxes: Boxes) -> None:
    draw_images(folder, "WIDER_train/images/0--Parade")
    rows = (
        f"0--Parade/{name}.jpg\n1\n{' '.join(map(str, box))} 0 0 0 0 0 0\n"
        for name, box in zip(NAMES, boxes, strict=True)
    )
    write(folder / "wider_face_split/wider_face_train_bbx_gt.txt", "".join(rows))


def draw_keras(folder: Path, boxes: Boxes) -> None:
    draw_images(folder, ".")
    rows = (f"{name}.jpg {','.join(map(str, box))},0\n" for name, box in zip(NAMES, boxes, strict=True))
    write(folder / "train.txt", "".join(rows))


def draw_datumaro(folder: Path, boxes: Boxes, scores: Sequence[float] = ()) -> None:
    draw_images(folder)
    items = [
        {
            "id": name,
            "annotations": [
                {
                    "type": "bbox",
                    "label_id": 0,
                    "bbox": box,
                    "attributes": {"score": scores[n]} if n < len(scores) else {},
                }
            ],
            "image": {"path": f"{name}.jpg", "size": [SIZE[1], SIZE[0]]},
        }
        for n, (name, box) in enumerate(zip(NAMES, boxes, strict=True))
    ]
    categories = {"label": {"labels": [{"name": "dent"}]}}
    write(folder / "annotations/default.json", {"categories": categories, "items": items})


def draw_labelme(folder: Path, boxes: Boxes, scores: Sequence[float] = ()) -> None:
    draw_images(folder, ".")
    for n, (name, (x1, y1, x2, y2)) in enumerate(zip(NAMES, boxes, strict=True)):
        shape = {"label": "dent", "points": [[x1, y1], [x2, y2]], "shape_type": "rectangle"}
        shape |= {"score": scores[n] if n < len(scores) else None}
        size = {"imageWidth": SIZE[0], "imageHeight": SIZE[1]}
        write(folder / f"{name}.json", {"shapes": [shape], "imagePath": f"{name}.jpg", **size})


def draw_voc(folder: Path, boxes: Boxes, scores: Sequence[float] = ()) -> None:
    draw_images(folder)
    for n, (name, box) in enumerate(zip(NAMES, boxes, strict=True)):
        file = folder / f"Annotations/{name}.xml"
        write_voc_file(file, [("dent", box)])
        if n < len(scores):
            stated = f"</name><confidence>{scores[n]}</confidence>"
            file.write_text(file.read_text().replace("</name>", stated))


def count_objects(folder: Path, **options: object) -> int:
    source = recognize_source("auto", folder, ReadOptions(**options)).source
    return sum(len(image.raw.classes) for image in source.images)


@pytest.mark.parametrize("draw", [draw_kitti, draw_keras])
def test_width_and_height_in_place_of_a_corner_are_refused(tmp_path, draw):
    draw(tmp_path / "wrong", EXTENTS)
    with pytest.raises(UserError, match=r"inverted as x1 y1 x2 y2, .* look like x y width height"):
        recognize_source("auto", tmp_path / "wrong")
    draw(tmp_path / "right", CORNERS)
    assert count_objects(tmp_path / "right") == 12


@pytest.mark.parametrize("draw", [draw_visdrone, draw_mot, draw_wider, draw_datumaro])
def test_corners_in_place_of_width_and_height_are_refused_and_read_when_asked(tmp_path, draw):
    draw(tmp_path / "wrong", CORNERS)
    with pytest.raises(UserError, match=r"go beyond the image .*set data\.labels=pixel_corners"):
        recognize_source("auto", tmp_path / "wrong")
    draw(tmp_path / "right", EXTENTS)
    found = [
        recognize_source("auto", tmp_path / place, ReadOptions(labels=labels)).source
        for place, labels in (("wrong", "pixel_corners"), ("right", "auto"))
    ]
    boxes = [np.concatenate([image.raw.boxes for image in source.images]) for source in found]
    np.testing.assert_allclose(boxes[0], boxes[1], atol=1)


SCORES = [0.31 + number / 20 for number in range(12)]


@pytest.mark.parametrize(
    ("draw", "boxes"), [(draw_labelme, CORNERS), (draw_datumaro, EXTENTS), (draw_voc, CORNERS)]
)
def test_objects_with_scores_are_labels_only_if_asked_for(tmp_path, draw, boxes):
    draw(tmp_path / "all", boxes, SCORES)
    with pytest.raises(UserError, match=r"12 of 12 objects .* have a score.*set data\.predictions=labels"):
        recognize_source("auto", tmp_path / "all")
    assert count_objects(tmp_path / "all", predictions="labels") == 12
    draw(tmp_path / "few", boxes, SCORES[:2])
    remarks = recognize_source("auto", tmp_path / "few").source.remarks
    assert any("2 of 12 objects have a score" in remark for remark in remarks)
    draw(tmp_path / "certain", boxes, [1.0] * 12)
    assert not [
        remark
        for remark in recognize_source("auto", tmp_path / "certain").source.remarks
        if "score" in remark
    ]


def draw_yolo(folder: Path, labels: str = "labels", names: Sequence[str] = NAMES) -> None:
    for name, shares in zip(names, SHARES, strict=False):
        write(folder / f"{labels}/{name}.txt", f"{len(name) % 2} {' '.join(map(str, shares))}\n")


def test_other_label_folders_of_the_same_images_are_told(tmp_path):
    draw_images(tmp_path)
    draw_yolo(tmp_path, names=NAMES[:8])
    draw_yolo(tmp_path, "labels_v2")
    draw_images(tmp_path, "other", ["x", "y"])
    draw_yolo(tmp_path, "other_labels", ["x", "y"])
    remarks = " | ".join(recognize_source("auto", tmp_path).source.remarks)
    assert "label files of the same images in labels_v2/ are not read: those in labels/ are" in remarks


def test_class_list_beside_the_labels_of_a_split_is_read(tmp_path):
    draw_images(tmp_path, "images/train")
    draw_yolo(tmp_path, "labels/train")
    write(tmp_path / "data.yaml", "train: images/train\nval: images/train\nnames: [scratch, dent]\n")
    write(tmp_path / "labels/train/classes.txt", "dent\nscratch\n")
    with pytest.raises(UserError, match=r"data\.yaml and labels/train/classes\.txt name the classes diff"):
        recognize_source("auto", tmp_path)


def draw_coco(folder: Path, rings: Sequence[Sequence[float]], **more: object) -> None:
    draw_images(folder)
    pairs = zip(NAMES, EXTENTS, rings, strict=True)
    rows = {f"{name}.jpg": [{"bbox": box, "segmentation": [ring], **more}] for name, box, ring in pairs}
    write_coco_file(folder / "a.json", rows, categories={1: "dent"})


RINGS = [[x1, y1, x2, y1, x2, y2, x1, y2] for x1, y1, x2, y2 in CORNERS]


def test_outlines_in_shares_beside_boxes_in_pixels_are_refused(tmp_path):
    draw_coco(tmp_path, [(np.array(ring).reshape(-1, 2) / SIZE).ravel().tolist() for ring in RINGS])
    with pytest.raises(UserError, match=r"outlines of 12 of 12 .*look like shares of the image size"):
        recognize_source("auto", tmp_path)


def test_outlines_with_x_and_y_exchanged_are_refused(tmp_path):
    far = [(4 * n, 60, 4 * n + 9, 69) for n in range(12)]
    draw_images(tmp_path)
    rows = {
        f"{name}.jpg": [{"bbox": [x1, y1, 9, 9], "segmentation": [[y1, x1, y1, x2, y2, x2]]}]
        for name, (x1, y1, x2, y2) in zip(NAMES, far, strict=True)
    }
    write_coco_file(tmp_path / "a.json", rows, categories={1: "dent"})
    with pytest.raises(UserError, match="outlines of 12 of 12 objects lie outside of their bbox"):
        recognize_source("auto", tmp_path)


def test_annotations_of_no_listed_image_are_refused(tmp_path):
    draw_coco(tmp_path, RINGS)
    file = tmp_path / "a.json"
    data = json.loads(file.read_text())
    for n, row in enumerate(data["annotations"]):
        row["image_id"] = f"{NAMES[n]}.jpg"
    write(file, data)
    with pytest.raises(UserError, match=r"no image_id of the 12 annotations .* such as 'im0.jpg'"):
        recognize_source("auto", tmp_path)


def test_thumbnails_of_the_images_are_no_class(tmp_path):
    draw_images(tmp_path, "dent", NAMES[:6])
    draw_images(tmp_path, "scratch", NAMES[6:])
    draw_images(tmp_path, "thumbnails")
    with pytest.raises(UserError, match="a folder is called thumbnails, which is no class"):
        recognize_source("auto", tmp_path)


def test_masks_of_the_full_ade20k_are_refused(tmp_path):
    for n, (x1, y1, x2, y2) in enumerate(CORNERS):
        write_picture(tmp_path / f"training/ADE_train_{n:04d}.jpg")
        mask = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        mask[y1:y2, x1:x2] = (20, 70, 10 * (n % 3))
        Image.fromarray(mask).save(tmp_path / f"training/ADE_train_{n:04d}_seg.png")
        write(tmp_path / f"training/ADE_train_{n:04d}_atr.txt", '001 # 0 # 0 # sky # sky # ""\n')
    with pytest.raises(UserError, match="the full ADE20K, whose colors hold the class"):
        recognize_source("auto", tmp_path)


def test_many_objects_that_cannot_be_read_are_told(tmp_path):
    draw_labelme(tmp_path, CORNERS)
    for name in NAMES[3:]:
        file = tmp_path / f"{name}.json"
        file.write_text(file.read_text().replace("rectangle", "line"))
    remarks = " | ".join(recognize_source("auto", tmp_path).source.remarks)
    assert "9 of 12 objects cannot be read and are left out, such as im10.jpg: shape 1: a line" in remarks


EXPORTS = [
    ("x.jpg.json", {"metadata": {}, "instances": [{"className": "dent"}]}, "SuperAnnotate: export COCO"),
    ("a/x.json", {"item": {}, "annotations": [{"name": "dent", "slot_names": ["0"]}]}, "V7 Darwin"),
    ("export.ndjson", {"data_row": {"external_id": "x.jpg"}}, "Labelbox"),
    ("labels.json", {"classes": ["a"], "labels": {"x": [{"bounding_box": [0, 0, 1, 1]}]}}, "FiftyOne"),
    ("bdd.json", [{"name": "x.jpg", "labels": [{"box2d": {"x1": 1}}]}], "BDD100K"),
    ("metadata.jsonl", {"file_name": "x.jpg", "objects": {"bbox": []}}, "Hugging Face"),
    ("a.odgt", {"ID": "x", "gtboxes": []}, "CrowdHuman"),
    ("a.manifest", {"source-ref": "s3://x.jpg"}, "Amazon SageMaker"),
    ("train.csv", "ImageId,EncodedPixels\nx.jpg,1 5\n", "run lengths"),
    ("x.txt", "0,0.5,0.5,0.2,0.2\n", "numbers are separated by commas"),
    ("x.txt", "0 0,5 0,5 0,2 0,2\n", "decimals are written with a comma"),
    ("x.txt", "dent 0.5 0.5 0.2 0.2\n", "a class number first"),
    ("x.txt", "0 0.5 0.5 0.2 0.2 dent\n", "nothing behind the coordinates"),
]


@pytest.mark.parametrize(("file", "content", "reason"), EXPORTS)
def test_known_exports_that_are_not_read_are_named(tmp_path, file, content, reason):
    draw_images(tmp_path, "images", ["x", "y", "z"])
    write(tmp_path / file, content)
    with pytest.raises(UserError, match=f"no annotations recognized .*{reason}"):
        recognize_source("auto", tmp_path)


def test_labels_in_utf_16_are_named(tmp_path):
    draw_images(tmp_path, "images", ["x", "y"])
    (tmp_path / "images/x.txt").write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"images/x\.txt is UTF-16 text: save the label files as UTF-8"):
        recognize_source("auto", tmp_path)


def shifted(boxes: Boxes) -> Boxes:
    return [(x + 1, y, *rest) for x, y, *rest in boxes]


def write_table(file: Path, boxes: Boxes) -> None:
    rows = (f"{name}.jpg,dent,{','.join(map(str, box))}\n" for name, box in zip(NAMES, boxes, strict=True))
    write(file, f"filename,class,xmin,ymin,xmax,ymax\n{''.join(rows)}")


def write_coco_boxes(file: Path, boxes: Boxes) -> None:
    rows = {f"{name}.jpg": [{"bbox": list(box)}] for name, box in zip(NAMES, boxes, strict=True)}
    write_coco_file(file, rows, categories={1: "dent"})


def write_createml(file: Path, boxes: Boxes) -> None:
    sides = ("x", "y", "width", "height")
    rows = [
        {
            "image": f"{name}.jpg",
            "annotations": [{"label": "dent", "coordinates": dict(zip(sides, box, strict=True))}],
        }
        for name, box in zip(NAMES, boxes, strict=True)
    ]
    write(file, rows)


ANNOTATORS = [
    (write_table, "csv", CORNERS),
    (write_coco_boxes, "json", EXTENTS),
    (write_createml, "json", EXTENTS),
]


@pytest.mark.parametrize(("write_boxes", "suffix", "boxes"), ANNOTATORS)
def test_two_annotators_of_the_same_objects_are_refused(tmp_path, write_boxes, suffix, boxes):
    draw_images(tmp_path)
    write_boxes(tmp_path / f"anna.{suffix}", boxes)
    write_boxes(tmp_path / f"bert.{suffix}", shifted(boxes))
    with pytest.raises(UserError, match=r"anna\.\w+ and .*bert\.\w+ describe the same objects: 12 of 12"):
        recognize_source("auto", tmp_path)


def test_two_files_with_other_objects_of_the_same_images_are_put_together(tmp_path):
    draw_images(tmp_path)
    write_table(tmp_path / "first.csv", CORNERS)
    write_table(tmp_path / "second.csv", [(x1 - 4, 60, x2 - 4, 78) for x1, _, x2, _ in CORNERS])
    assert count_objects(tmp_path) == 24


def test_number_that_occurs_twice_in_data_yaml_is_refused(tmp_path):
    draw_images(tmp_path, "images/train")
    draw_yolo(tmp_path, "labels/train")
    names = "names:\n  0: scratch\n  0: dent\n  1: hole\n"
    write(tmp_path / "data.yaml", f"train: images/train\nval: images/train\n{names}")
    with pytest.raises(UserError, match="the key 0 occurs twice"):
        recognize_source("auto", tmp_path)


def draw_masks(folder: Path, suffix: str, save: object) -> None:
    draw_images(folder)
    (folder / "masks").mkdir(exist_ok=True)
    for n, (name, (x1, y1, x2, y2)) in enumerate(zip(NAMES, CORNERS, strict=True)):
        mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        mask[y1:y2, x1:x2] = 1 + n % 2
        save(n, mask).save(folder / f"masks/{name}{suffix}")


def test_masks_with_a_palette_and_in_its_colors_have_the_same_classes(tmp_path):
    def paint(number: int, mask: np.ndarray) -> Image.Image:
        image = Image.fromarray(mask).convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        return image if number < 6 else image.convert("RGB")

    draw_masks(tmp_path, ".png", paint)
    source = recognize_source("auto", tmp_path).source
    assert source.names == ("colour_008000", "colour_800000")
    assert [int((image.raw.classes == 0).sum()) for image in source.images].count(1) == 6


def test_masks_of_probabilities_are_a_fault(tmp_path):
    draw_masks(tmp_path, ".tif", lambda _, mask: Image.fromarray(mask.astype(np.float32) * 0.4))
    source = recognize_source("auto", tmp_path).source
    assert {"pixels with decimals" in image.fault for image in source.images} == {True}


def test_captions_are_no_classes(tmp_path):
    draw_images(tmp_path)
    data = {"images": [{"id": 0, "file_name": "im0.jpg"}], "categories": []}
    write(tmp_path / "captions.json", {**data, "annotations": [{"image_id": 0, "caption": "a dent"}]})
    with pytest.raises(UserError, match="holds captions, not objects"):
        recognize_source("auto", tmp_path)
