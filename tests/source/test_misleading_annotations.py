"""Plausible but misleading annotations: each is read right, or refused with what it looks like.

Every case draws the same twelve images with one box each, and describes them in a misleading way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import SIZE, write_picture

NAMES = [f"im{number}" for number in range(12)]
CORNERS = [(4.0 + 5 * n, 8.0 + 3 * n, 24.0 + 5 * n, 28.0 + 3 * n) for n in range(12)]
EXTENTS = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in CORNERS]
CENTRES = [((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1) for x1, y1, x2, y2 in CORNERS]
SHARES = [tuple(value / side for value, side in zip(box, SIZE * 2, strict=True)) for box in EXTENTS]


def draw_images(folder: Path, place: str = "images", form: str = "{}.jpg") -> None:
    for name in NAMES:
        write_picture(folder / place / form.format(name))


def ring(box: Sequence[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def mask(box: Sequence[float]) -> dict[str, Any]:
    """Return the run-length encoding of a filled box, uncompressed."""
    x1, y1, x2, y2 = map(int, box)
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[y1:y2, x1:x2] = 1
    flat = pixels.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    return {"counts": np.diff([0, *edges, len(flat)]).tolist(), "size": [SIZE[1], SIZE[0]]}


def write_coco(
    folder: Path, rows: Sequence[Sequence[dict[str, Any]]], file: str = "annotations/all.json", form="{}.jpg"
) -> Path:
    listed = {form.format(name): found for name, found in zip(NAMES, rows, strict=True)}
    sources.write_coco_file(folder / file, listed, categories={1: "flaw"})
    return folder


def boxes_as(stated: Sequence[Sequence[float]], **more: Any) -> list[list[dict[str, Any]]]:
    return [[{"bbox": list(box), **more}] for box in stated]


def write_table(folder: Path, header: str, rows: Sequence[Sequence[Any]], file: str = "boxes.csv") -> Path:
    mark = ";" if ";" in header else ","
    lines = [mark.join(map(str, row)) for row in rows]
    (folder / file).write_text("\n".join((header, *lines)) + "\n")
    return folder


def rows_of(stated: Sequence[Sequence[Any]], *more: Any) -> list[tuple[Any, ...]]:
    return [(f"{name}.jpg", "flaw", *box, *more) for name, box in zip(NAMES, stated, strict=True)]


def coco_crowds_of_cvat(folder):
    draw_images(folder)
    cvat = {"iscrowd": 1, "attributes": {"occluded": False}}
    pairs = zip(EXTENTS, CORNERS, strict=True)
    return write_coco(folder, [[{"bbox": list(e), "segmentation": mask(c), **cvat}] for e, c in pairs])


def coco_crowds_of_another_tool(folder):
    draw_images(folder)
    pairs = zip(EXTENTS, CORNERS, strict=True)
    return write_coco(
        folder, [[{"bbox": list(e), "segmentation": [ring(c)], "iscrowd": 1}] for e, c in pairs]
    )


def coco_real_crowds(folder):
    draw_images(folder)
    two = mask(CORNERS[0])
    two["counts"] = [0, 400, 400, 400, SIZE[0] * SIZE[1] - 1200]
    crowd = {"bbox": [0, 0, 96, 80], "segmentation": two, "iscrowd": 1}
    rows = boxes_as(EXTENTS)
    return write_coco(folder, [[*row, *([crowd] if number < 4 else [])] for number, row in enumerate(rows)])


def coco_detections_beside(folder):
    draw_images(folder)
    write_coco(folder, boxes_as(EXTENTS))
    rows = [[{"bbox": list(box), "score": 0.3 + n / 20}] for n, box in enumerate(EXTENTS)]
    return write_coco(folder, rows, "annotations/model.json")


def coco_list_of_results_beside(folder):
    draw_images(folder)
    write_coco(folder, boxes_as(EXTENTS))
    results = [
        {"image_id": n, "category_id": 1, "bbox": list(box), "score": 0.7} for n, box in enumerate(EXTENTS)
    ]
    (folder / "annotations/bbox_results.json").write_text(json.dumps(results))
    return folder


def coco_predictions_without_scores(folder):
    draw_images(folder)
    write_coco(folder, boxes_as(CENTRES), "annotations/predictions.json")
    return write_coco(folder, boxes_as(EXTENTS), "annotations/truth.json")


def coco_scores_among_labels(folder):
    draw_images(folder)
    rows = boxes_as(EXTENTS)
    return write_coco(folder, [[*row, {"bbox": [1, 1, 30, 30], "score": 0.4}] for row in rows])


def coco_detections_alone(folder):
    draw_images(folder)
    return write_coco(folder, [[{"bbox": list(box), "score": n / 20}] for n, box in enumerate(EXTENTS)])


def coco_keypoints_under_other_names(folder):
    draw_images(folder)
    points = [[{"bbox": list(e), "keypoints": [e[0], e[1], 2, e[0] + 9, e[1] + 9, 2]}] for e in EXTENTS]
    write_coco(folder, points, "annotations/people.json")
    return write_coco(folder, boxes_as(EXTENTS), "annotations/objects.json")


def coco_uploads(folder):
    draw_images(folder)
    return write_coco(folder, boxes_as(EXTENTS), "result.json", "../../media/upload/7/ab12cd00-{}.jpg")


def coco_windows_uploads(folder):
    draw_images(folder)
    return write_coco(folder, boxes_as(EXTENTS), "result.json", "..\\..\\media\\ab12cd00-{}.jpg")


def coco_images_with_prefix(folder):
    draw_images(folder, form="ab12cd00-{}.jpg")
    return write_coco(folder, boxes_as(EXTENTS), "result.json")


def coco_two_uploads_of_one_name(folder):
    draw_images(folder)
    draw_images(folder, form="ab12cd00-{}.jpg")
    draw_images(folder, form="ab12cd01-{}.jpg")
    for name in NAMES:
        (folder / f"images/{name}.jpg").unlink()
    return write_coco(folder, boxes_as(EXTENTS), "result.json")


def coco_corners(folder):
    draw_images(folder)
    return write_coco(folder, boxes_as(CORNERS))


def coco_corners_near_the_origin(folder):
    draw_images(folder)
    small = [(n, n, n + 5, n + 6) for n in range(12)]
    return write_coco(folder, [[{"bbox": list(box), "segmentation": [ring(box)]}] for box in small])


def coco_shares(folder):
    draw_images(folder)
    return write_coco(folder, boxes_as(SHARES))


def notes_of_a_yolo_export(folder):
    draw_images(folder)
    (folder / "notes.json").write_text(json.dumps({"categories": [{"id": 0, "name": "flaw"}], "info": {}}))
    for name, (x, y, w, h) in zip(NAMES, CENTRES, strict=True):
        label = folder / f"labels/{name}.txt"
        label.parent.mkdir(exist_ok=True)
        label.write_text(f"0 {x / SIZE[0]} {y / SIZE[1]} {w / SIZE[0]} {h / SIZE[1]}\n")
    (folder / "classes.txt").write_text("flaw\n")
    return folder


def write_voc(
    folder: Path, stated: Sequence[Sequence[float]], place: str, name: Callable[[int], str]
) -> Path:
    for number, (stem, box) in enumerate(zip(NAMES, stated, strict=True)):
        sources.write_voc_file(folder / place / f"{stem}.xml", [(name(number), box)])
    return folder


def voc_shifted() -> list[tuple[float, ...]]:
    return [(x1 + 1, y1 + 1, x2, y2) for x1, y1, x2, y2 in CORNERS]


def voc_in_a_folder_of_another_name(folder):
    draw_images(folder, "pictures")
    return write_voc(folder, voc_shifted(), "bounding boxes/first", lambda _: "flaw")


def voc_with_trailing_blanks(folder):
    draw_images(folder)
    return write_voc(folder, voc_shifted(), "xml", lambda number: "flaw " if number % 2 else "flaw")


def voc_with_width_and_height(folder):
    draw_images(folder)
    return write_voc(folder, EXTENTS, "Annotations", lambda _: "flaw")


def voc_with_exchanged_axes(folder):
    draw_images(folder)
    exchanged = [(4 * n, 70 + n, 4 * n + 20, 84 + n) for n in range(12)]
    return write_voc(folder, exchanged, "Annotations", lambda _: "flaw")


def voc_in_shares(folder):
    draw_images(folder)
    shares = [tuple(v / s for v, s in zip(box, SIZE * 2, strict=True)) for box in CORNERS]
    return write_voc(folder, shares, "Annotations", lambda _: "flaw")


def via_with_javascript_values(folder):
    draw_images(folder, ".")
    region = "region_count,region_id,region_shape_attributes,region_attributes"
    header = f"filename,file_size,file_attributes,{region}"
    lines = []
    for name, (x, y, w, h) in zip(NAMES, EXTENTS, strict=True):
        shape = json.dumps({"name": "rect", "x": x, "y": y, "width": w, "height": h}).replace('"', '""')
        values = '{""class"":""flaw"",""note"":""undefined, NaN"",""type"":undefined,""angle"":NaN}'
        lines.append(f'{name}.jpg,1,"{{}}",1,0,"{shape}","{values}"')
    (folder / "via.csv").write_text("\n".join((header, *lines)) + "\n")
    return folder


def csv_with_decimal_commas(folder):
    draw_images(folder)
    comma = [[f"{value:.1f}".replace(".", ",") for value in box] for box in CORNERS]
    return write_table(folder, "filename;class;xmin;ymin;xmax;ymax", rows_of(comma))


def csv_with_thousands(folder):
    draw_images(folder)
    rows = [(f"{name}.jpg", "flaw", "1,024", "1,100", "1,200", "1,300") for name in NAMES]
    return write_table(folder, "filename;class;xmin;ymin;xmax;ymax", rows)


def csv_with_both_marks(folder):
    draw_images(folder)
    rows = [(f"{name}.jpg", "flaw", "1.024,5", "11,5", "1.200,5", "30,5") for name in NAMES]
    return write_table(folder, "filename;class;xmin;ymin;xmax;ymax", rows)


def csv_predictions_beside(folder):
    draw_images(folder)
    write_table(folder, "filename,class,xmin,ymin,xmax,ymax", rows_of(CORNERS), "labels.csv")
    header = "filename,class,xmin,ymin,xmax,ymax,confidence"
    return write_table(folder, header, rows_of(CENTRES, 0.8), "model.csv")


def csv_predictions_by_name(folder):
    draw_images(folder)
    header = "filename,class,xmin,ymin,xmax,ymax"
    write_table(folder, header, rows_of(CORNERS), "labels.csv")
    return write_table(folder, header, rows_of(CORNERS), "predictions.csv")


def csv_of_detections_alone(folder):
    draw_images(folder)
    return write_table(folder, "filename,class,xmin,ymin,xmax,ymax,score", rows_of(CORNERS, 0.8))


def csv_with_corners_called_extent(folder):
    draw_images(folder)
    return write_table(folder, "filename,class,x,y,width,height", rows_of(CORNERS))


def csv_with_extents_called_corners(folder):
    draw_images(folder)
    return write_table(folder, "filename,class,x1,y1,x2,y2", rows_of(EXTENTS))


def csv_centres_in_shares_beside_pixels(folder):
    draw_images(folder)
    shares = [tuple(v / s for v, s in zip(box, SIZE * 2, strict=True)) for box in CENTRES]
    header = "filename,class,x_center,y_center,bbox_width,bbox_height,width,height"
    return write_table(folder, header, rows_of(shares, *SIZE))


def csv_shares_a_little_beyond_the_image(folder):
    draw_images(folder)
    shares = [*SHARES[:-1], (0.9, 0.9, 1.02, 0.98)]
    return write_table(folder, "filename,class,x,y,w,h", rows_of(shares))


def coco_copy_beside(folder):
    draw_images(folder)
    write_coco(folder, boxes_as(EXTENTS))
    return write_coco(folder, boxes_as(EXTENTS), "annotations/all (copy).json")


def coco_two_versions(folder):
    draw_images(folder)
    write_coco(folder, boxes_as(EXTENTS))
    changed = [*EXTENTS[:8], *((x + 1, y, w, h) for x, y, w, h in EXTENTS[8:])]
    return write_coco(folder, boxes_as(changed), "annotations/corrected.json")


def csv_copy_beside(folder):
    draw_images(folder)
    for file in ("labels.csv", "labels_backup.csv"):
        write_table(folder, "filename,class,xmin,ymin,xmax,ymax", rows_of(CORNERS), file)
    return folder


def csv_two_versions(folder):
    draw_images(folder)
    changed = [*CORNERS[:8], *((x + 1, y, z, v) for x, y, z, v in CORNERS[8:])]
    for file, boxes in (("labels.csv", CORNERS), ("labels_v2.csv", changed)):
        write_table(folder, "filename,class,xmin,ymin,xmax,ymax", rows_of(boxes), file)
    return folder


def createml_detections_beside(folder):
    draw_images(folder)
    sides = ("x", "y", "width", "height")
    boxes = [dict(zip(sides, box, strict=True)) for box in CENTRES]
    for file, score in (("labels.json", {}), ("model.json", {"confidence": 0.7})):
        rows = [
            {"image": f"{name}.jpg", "annotations": [{"label": "flaw", "coordinates": box, **score}]}
            for name, box in zip(NAMES, boxes, strict=True)
        ]
        (folder / file).write_text(json.dumps(rows))
    return folder


def labelstudio_predictions(folder):
    draw_images(folder)
    tasks = []
    for number, (name, (x, y, w, h)) in enumerate(zip(NAMES, EXTENTS, strict=True)):
        value = {
            **{"x": 100 * x / SIZE[0], "y": 100 * y / SIZE[1], "rectanglelabels": ["flaw"]},
            **{"width": 100 * w / SIZE[0], "height": 100 * h / SIZE[1]},
        }
        size = {"original_width": SIZE[0], "original_height": SIZE[1]}
        result = [{"id": "r", "type": "rectanglelabels", "value": value, **size}]
        drawn = [{"result": result}] if number < 9 else []
        predictions = [{"result": result, "score": 0.6}]
        image = f"/data/upload/1/ab12cd00-{name}.jpg"
        tasks.append({"data": {"image": image}, "annotations": drawn, "predictions": predictions})
    (folder / "export.json").write_text(json.dumps(tasks))
    return folder


ALL = 12
"""One object in each image, with the drawn box."""

READ = {
    coco_crowds_of_cvat: ("coco", ALL, "CVAT"),
    coco_crowds_of_another_tool: ("coco", ALL, "one connected shape"),
    coco_real_crowds: ("coco", ALL, "4 of 16 annotations are crowds (iscrowd), in 4 of 12 images (33%)"),
    coco_detections_beside: ("coco", ALL, "model output, not labels: annotations/model.json"),
    coco_list_of_results_beside: ("coco", ALL, "model output, not labels: annotations/bbox_results.json"),
    coco_predictions_without_scores: ("coco", ALL, "model output, not labels: annotations/predictions.json"),
    coco_scores_among_labels: ("coco", ALL, "12 of 24 annotations in annotations/all.json have a score"),
    coco_keypoints_under_other_names: ("coco", ALL, "not read"),
    coco_uploads: ("coco", ALL, ""),
    coco_windows_uploads: ("coco", ALL, ""),
    coco_images_with_prefix: ("coco", ALL, ""),
    coco_shares: ("coco", ALL, "shares of the image size"),
    notes_of_a_yolo_export: ("yolo", ALL, ""),
    voc_in_a_folder_of_another_name: ("voc", ALL, ""),
    voc_with_trailing_blanks: ("voc", ALL, "'flaw' and 'flaw '"),
    via_with_javascript_values: ("via", ALL, "'class'"),
    csv_with_decimal_commas: ("csv", ALL, ""),
    csv_predictions_beside: ("csv", ALL, "model output, not labels: model.csv"),
    csv_predictions_by_name: ("csv", ALL, "model output, not labels: predictions.csv"),
    csv_centres_in_shares_beside_pixels: ("csv", ALL, ""),
    coco_copy_beside: ("coco", ALL, "not read, since other files describe the objects"),
    csv_copy_beside: ("csv", ALL, "a copy of another table"),
    createml_detections_beside: ("createml", ALL, "model output, not labels: model.json"),
    labelstudio_predictions: ("labelstudio", 9, "12 tasks with predictions of a model"),
}
REFUSED = {
    coco_detections_alone: r"has a score: that is model output",
    coco_two_uploads_of_one_name: r"none of the images that .* im0.jpg is missing",
    coco_corners: r"look like x1 y1 x2 y2",
    coco_corners_near_the_origin: r"outlines .* bbox holds x1 y1 x2 y2",
    voc_with_width_and_height: r"look like width and height",
    voc_with_exchanged_axes: r"go beyond the image .*look like y1 x1 y2 x2",
    voc_in_shares: r"look like shares of the image size",
    csv_with_thousands: r"decimal or separate thousands",
    csv_with_both_marks: r"decimal or separate thousands",
    csv_of_detections_alone: r"has a score: that is model output",
    coco_two_versions: r"share 8 of 16 objects, as two versions",
    csv_two_versions: r"share 8 of 16 objects, as two versions",
    csv_with_corners_called_extent: r"look like x1 y1 x2 y2",
    csv_with_extents_called_corners: r"inverted .*look like x y width height",
}


def read_boxes(folder, **options):
    """Return the format, the boxes in pixels by image name without a prefix, and the remarks."""
    form, source = recognize_source("auto", folder, ReadOptions(**options))
    boxes = {
        image.path.stem.removeprefix("ab12cd00-"): (
            image.raw.boxes * (np.tile(SIZE, 2) if image.normalized else 1)
        )
        .round(3)
        .tolist()
        for image in source.images
        if not image.fault
    }
    return form, boxes, " | ".join(source.remarks)


@pytest.mark.parametrize("draw", READ, ids=lambda draw: draw.__name__)
def test_misleading_annotations_are_read_right(tmp_path, draw):
    form, boxes, remarks = read_boxes(draw(tmp_path / "set"))
    expected, number, remark = READ[draw]
    assert form == expected
    assert boxes == {name: [list(box)] for name, box in [*zip(NAMES, CORNERS, strict=True)][:number]}
    assert remark in remarks


@pytest.mark.parametrize("draw", REFUSED, ids=lambda draw: draw.__name__)
def test_misleading_annotations_are_refused_with_what_they_look_like(tmp_path, draw):
    with pytest.raises(UserError, match=REFUSED[draw]):
        read_boxes(draw(tmp_path / "set"))


@pytest.mark.parametrize(
    ("draw", "options"),
    [
        (coco_corners, {"labels": "pixel_corners"}),
        (coco_corners_near_the_origin, {"labels": "pixel_corners"}),
        (csv_with_corners_called_extent, {"labels": "pixel_corners"}),
        (coco_detections_alone, {"predictions": "labels"}),
        (csv_of_detections_alone, {"predictions": "labels"}),
        (labelstudio_predictions, {"predictions": "labels"}),
        (coco_keypoints_under_other_names, {"task": "pose"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_option_reads_what_is_meant(tmp_path, draw, options):
    _, boxes, _ = read_boxes(draw(tmp_path / "set"), **options)
    near_origin = [[n, n, n + 5, n + 6] for n in range(12)]
    wanted = near_origin if draw is coco_corners_near_the_origin else [list(box) for box in CORNERS]
    assert boxes == {name: [box] for name, box in zip(NAMES, wanted, strict=True)}


def test_predictions_are_added_to_the_labels_only_on_demand(tmp_path):
    for draw in (coco_detections_beside, coco_list_of_results_beside):
        _, boxes, remarks = read_boxes(draw(tmp_path / draw.__name__), predictions="labels")
        assert sum(map(len, boxes.values())) == 24
        assert "read as labels" in remarks


@pytest.mark.parametrize(("policy", "number"), [("ignore", 0), ("objects", 12), ("auto", 12)])
def test_policy_decides_about_crowds(tmp_path, policy, number):
    _, boxes, remarks = read_boxes(coco_crowds_of_cvat(tmp_path / "set"), crowds=policy)
    assert sum(map(len, boxes.values())) == number
    assert ("left out" in remarks) == (policy == "ignore")


def test_shares_a_little_beyond_the_image_are_no_pixels(tmp_path):
    _, boxes, _ = read_boxes(csv_shares_a_little_beyond_the_image(tmp_path / "set"))
    assert boxes["im0"] == [list(CORNERS[0])]


def test_boxes_that_go_beyond_the_image_are_used_when_the_user_says_so(tmp_path):
    _, boxes, _ = read_boxes(coco_corners(tmp_path / "set"), labels="pixels")
    assert boxes["im11"] == [[59, 41, 138, 102]]
