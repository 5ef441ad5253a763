"""data.labels in every format: what a refusal offers is read right, and what is not meant is refused.

Every format draws the same eleven images with one box each, stated in each of the ways of data.labels.
"""

import json
import re

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import ReadOptions
from tests import sources
from tests.sources import write_picture

NAMES = [f"im{number}" for number in range(11)]
SIZE = (480, 320)
CORNERS = np.array([(20.0 + 30 * n, 16 + 20 * n, 140 + 30 * n, 80 + 20 * n) for n in range(11)])
EXTENTS = np.concatenate([CORNERS[:, :2], CORNERS[:, 2:] - CORNERS[:, :2]], axis=1)
CENTRES = np.concatenate([(CORNERS[:, :2] + CORNERS[:, 2:]) / 2, EXTENTS[:, 2:]], axis=1)
SIDES = np.array(SIZE * 2)
CHOICES = ("shares", "percent", "pixels", "corners", "pixel_corners")


def write_yolo(folder, numbers):
    labels = {
        name: f"0 {' '.join(map(str, row))}\n" for name, row in zip(NAMES, numbers.tolist(), strict=True)
    }
    sources.write_yolo_source(folder, labels, names=("flaw",))


def write_coco(folder, numbers):
    rows = zip(NAMES, numbers.tolist(), strict=True)
    images = {f"{name}.jpg": [{"bbox": row}] for name, row in rows}
    sources.write_coco_file(folder / "all.json", images, categories={1: "flaw"})
    data = json.loads((folder / "all.json").read_text())
    data["images"] = [{**row, "width": SIZE[0], "height": SIZE[1]} for row in data["images"]]
    (folder / "all.json").write_text(json.dumps(data))


def write_voc(folder, numbers):
    for name, row in zip(NAMES, numbers.tolist(), strict=True):
        sources.write_voc_file(folder / f"{name}.xml", [("flaw", row)], size=SIZE)


def write_cvat(folder, numbers):
    images = []
    for name, row in zip(NAMES, numbers.tolist(), strict=True):
        sides = " ".join(
            f'{side}="{value}"' for side, value in zip(("xtl", "ytl", "xbr", "ybr"), row, strict=True)
        )
        size = f'width="{SIZE[0]}" height="{SIZE[1]}"'
        images.append(f'<image name="{name}.jpg" {size}><box label="flaw" {sides}/></image>')
    (folder / "annotations.xml").write_text(f"<annotations><meta/>{''.join(images)}</annotations>")


def write_via(folder, numbers):
    rows = {}
    for name, row in zip(NAMES, numbers.tolist(), strict=True):
        shape = {"name": "rect", **dict(zip(("x", "y", "width", "height"), row, strict=True))}
        region = {"shape_attributes": shape, "region_attributes": {"class": "flaw"}}
        rows[name] = {"filename": f"{name}.jpg", "regions": [region]}
    (folder / "via.json").write_text(json.dumps(rows))


def write_createml(folder, numbers):
    rows = []
    for name, row in zip(NAMES, numbers.tolist(), strict=True):
        box = dict(zip(("x", "y", "width", "height"), row, strict=True))
        rows.append({"image": f"{name}.jpg", "annotations": [{"label": "flaw", "coordinates": box}]})
    (folder / "labels.json").write_text(json.dumps(rows))


def write_csv(folder, numbers, header="x,y,width,height"):
    rows = [f"{name}.jpg,flaw,{','.join(map(str, row))}" for name, row in zip(NAMES, numbers, strict=True)]
    (folder / "boxes.csv").write_text("\n".join([f"filename,class,{header}", *rows]))


def write_csv_corners(folder, numbers):
    write_csv(folder, numbers, "x1,y1,x2,y2")


FORMATS = {
    "yolo": (write_yolo, CENTRES),
    "coco": (write_coco, EXTENTS),
    "voc": (write_voc, CORNERS),
    "cvat": (write_cvat, CORNERS),
    "via": (write_via, EXTENTS),
    "createml": (write_createml, CENTRES),
    "csv": (write_csv, EXTENTS),
    "csv corners": (write_csv_corners, CORNERS),
}
YOLO_SHARES = ("yolo", "shares")
"""That says only that the labels are right as they are."""
EVERY = [(form, choice) for form in FORMATS for choice in CHOICES]


def draw(folder, form, choice):
    """Draw the boxes as a value of data.labels says."""
    write, numbers = FORMATS[form]
    numbers = CORNERS if choice.endswith("corners") else numbers
    if form == "voc" and choice.startswith("pixel"):
        numbers = numbers + np.array([1, 1, 0, 0])
    unit = {"shares": SIDES, "corners": SIDES, "percent": SIDES / 100}.get(choice, 1)
    for name in NAMES:
        write_picture(folder / "images" / f"{name}.jpg", size=SIZE)
    write(folder, numbers / unit)


def read(folder, **options):
    source = recognize_source("auto", folder, ReadOptions(**options)).source
    boxes = [image.raw.boxes * (SIDES if image.normalized else 1) for image in source.images]
    names = [image.path.stem for image in source.images]
    return dict(zip(names, (found.round(6).tolist() for found in boxes), strict=True))


def read_or_refuse(folder, **options):
    """Return the boxes, or the refusal."""
    try:
        return read(folder, **options)
    except UserError as error:
        return str(error)


EXPECTED = {name: [row] for name, row in zip(NAMES, CORNERS.tolist(), strict=True)}


def test_choice_that_a_format_does_not_have_is_told(tmp_path):
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rectanglelabels": ["dent"]}
    result = {"type": "rectanglelabels", "original_width": 96, "original_height": 80, "value": value}
    write_picture(tmp_path / "im0.jpg")
    task = {"data": {"image": "im0.jpg"}, "annotations": [{"result": [result]}]}
    (tmp_path / "tasks.json").write_text(json.dumps([task]))
    [remark] = recognize_source("auto", tmp_path, ReadOptions(labels="shares")).source.remarks
    assert "data.labels=shares changes nothing" in remark


@pytest.mark.parametrize(("form", "choice"), EVERY)
def test_boxes_are_read_as_data_labels_says(tmp_path, form, choice):
    draw(tmp_path, form, choice)
    assert read(tmp_path, labels=choice) == EXPECTED


@pytest.mark.parametrize(("form", "choice"), EVERY)
def test_other_boxes_are_refused_with_the_choice_that_reads_them_or_read_right(tmp_path, form, choice):
    draw(tmp_path, form, choice)
    found = read_or_refuse(tmp_path)
    offered = [] if isinstance(found, dict) else re.findall(r"data\.labels=(\w+)", found)
    assert EXPECTED in [found, *(read_or_refuse(tmp_path, labels=each) for each in offered)]


@pytest.mark.parametrize(
    ("form", "choice"),
    [(form, each) for form, each in EVERY if each in {"shares", "percent"} and (form, each) != YOLO_SHARES],
)
def test_pixels_that_are_said_to_be_shares_are_refused(tmp_path, form, choice):
    write, numbers = FORMATS[form]
    for name in NAMES:
        write_picture(tmp_path / "images" / f"{name}.jpg", size=SIZE)
    write(tmp_path, numbers)
    with pytest.raises(UserError, match=f"data.labels={choice}, but"):
        read(tmp_path, labels=choice)
