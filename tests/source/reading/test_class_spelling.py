"""Class names that differ in blanks alone are one class, and that is said: by all formats alike."""

import json

import pytest

from pipeline.core.errors import UserError
from pipeline.source.reading.shapes import TAG, build_object
from pipeline.source.reading.task_inference import infer_task
from pipeline.source.recognize_format import read_source
from tests import sources
from tests.source.formats.tfrecord.test_reader import example, write
from tests.sources import SIZE, write_picture

NAMES = ("cat", "cat ")
"""The class of the only object of image 0 and of image 1."""
BOX = {"x": 10, "y": 20, "width": 40, "height": 40}
STATED_SIZE = {"original_width": SIZE[0], "original_height": SIZE[1]}


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def draw_voc(folder):
    for number, name in enumerate(NAMES):
        sources.write_voc_file(folder / f"im{number}.xml", [(name, (11, 21, 50, 60))])


def draw_cvat(folder):
    rows = [
        f'<image name="im{n}.jpg" width="96" height="80">'
        f'<box label="{name}" xtl="10" ytl="20" xbr="50" ybr="60"/></image>'
        for n, name in enumerate(NAMES)
    ]
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    meta = f"<meta><task><labels>{labels}</labels></task></meta>"
    (folder / "annotations.xml").write_text(f"<annotations>{meta}{''.join(rows)}</annotations>")


def draw_labelme(folder):
    for n, name in enumerate(NAMES):
        shape = {"label": name, "shape_type": "rectangle", "points": [[10, 20], [50, 60]]}
        dump(folder / f"im{n}.json", {"shapes": [shape], "imagePath": f"im{n}.jpg"})


def draw_labelme_flags(folder):
    for n, name in enumerate(NAMES):
        dump(folder / f"im{n}.json", {"shapes": [], "imagePath": f"im{n}.jpg", "flags": {name: True}})


def draw_labelme_xml(folder):
    for n, name in enumerate(NAMES):
        ring = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((10, 20), (50, 20), (50, 60)))
        item = f"<object><name>{name}</name><polygon>{ring}</polygon></object>"
        (folder / f"im{n}.xml").write_text(f"<annotation><filename>im{n}.jpg</filename>{item}</annotation>")


def draw_via(folder):
    regions = [
        [{"shape_attributes": {"name": "rect", **BOX}, "region_attributes": {"class": name}}]
        for name in NAMES
    ]
    rows = {f"{n}": {"filename": f"im{n}.jpg", "regions": found} for n, found in enumerate(regions)}
    dump(folder / "via.json", rows)


def draw_via_checkboxes(folder):
    regions = [
        [{"shape_attributes": {"name": "rect", **BOX}, "region_attributes": {"class": {name: True}}}]
        for name in NAMES
    ]
    rows = {f"{n}": {"filename": f"im{n}.jpg", "regions": found} for n, found in enumerate(regions)}
    dump(folder / "via.json", rows)


def draw_via_image_classes(folder):
    rows = {
        f"{n}": {"filename": f"im{n}.jpg", "regions": [], "file_attributes": {"class": name}, "_via_": 1}
        for n, name in enumerate(NAMES)
    }
    dump(folder / "via.json", {"_via_img_metadata": rows})


def draw_labelstudio(folder):
    tasks = []
    for n, name in enumerate(NAMES):
        value = {**BOX, "rectanglelabels": [name]}
        result = [{"id": "r", "type": "rectanglelabels", "value": value, **STATED_SIZE}]
        tasks.append({"data": {"image": f"im{n}.jpg"}, "annotations": [{"result": result}]})
    dump(folder / "export.json", tasks)


def draw_labelstudio_choices(folder):
    tasks = []
    for n, name in enumerate(NAMES):
        result = [{"id": "r", "type": "choices", "value": {"choices": [name]}, **STATED_SIZE}]
        tasks.append({"data": {"image": f"im{n}.jpg"}, "annotations": [{"result": result}]})
    dump(folder / "export.json", tasks)


def draw_createml(folder):
    rows = [
        {"image": f"im{n}.jpg", "annotations": [{"label": name, "coordinates": BOX}]}
        for n, name in enumerate(NAMES)
    ]
    dump(folder / "labels.json", rows)


def draw_vott(folder):
    box = {"left": 10, "top": 20, "width": 40, "height": 40}
    assets = {
        f"{n}": {
            "asset": {"id": f"{n}", "name": f"im{n}.jpg", "state": 2},
            "regions": [{"type": "RECTANGLE", "tags": [name], "boundingBox": box}],
        }
        for n, name in enumerate(NAMES)
    }
    dump(folder / "project-export.json", {"securityToken": "t", "assets": assets})


def draw_supervisely(folder):
    dump(folder / "meta.json", {"classes": [{"title": name} for name in NAMES]})
    for n, name in enumerate(NAMES):
        points = {"exterior": [[10, 20], [50, 60]], "interior": []}
        item = {"classTitle": name, "geometryType": "rectangle", "points": points}
        size = {"width": SIZE[0], "height": SIZE[1]}
        dump(folder / f"ds/ann/im{n}.jpg.json", {"size": size, "tags": [], "objects": [item]})


def draw_datumaro(folder):
    items = [
        {
            "id": f"im{n}",
            "image": {"path": f"im{n}.jpg"},
            "annotations": [{"id": 0, "type": "bbox", "label_id": n, "bbox": [10, 20, 40, 40]}],
        }
        for n in range(2)
    ]
    labels = {"labels": [{"name": name} for name in NAMES]}
    dump(folder / "annotations/all.json", {"info": {}, "categories": {"label": labels}, "items": items})


def draw_csv(folder):
    rows = [f"im{n}.jpg,{name},10,20,50,60" for n, name in enumerate(NAMES)]
    (folder / "boxes.csv").write_text("\n".join(["filename,class,xmin,ymin,xmax,ymax", *rows]))


def draw_one_hot_csv(folder):
    (folder / "classes.csv").write_text("filename,cat,cat ,dog\nim0.jpg,1,0,0\nim1.jpg,0,1,0\n")


def draw_openimages(folder):
    header = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf"
    rows = [f"im{n},x,/m/{n},1,0.1,0.5,0.2,0.6,0" for n in range(2)]
    (folder / "boxes.csv").write_text("\n".join([header, *rows]))
    named = [f"/m/{n},{name}" for n, name in enumerate(NAMES)]
    (folder / "class-descriptions-boxable.csv").write_text("\n".join(named))


def draw_kerasyolo(folder):
    (folder / "_annotations.txt").write_text("".join(f"im{n}.jpg 10,20,50,60,{n}\n" for n in range(2)))
    (folder / "_classes.txt").write_text("".join(f"{name}\n" for name in NAMES))


def draw_boxes(folder):
    for n in range(2):
        (folder / f"im{n}.txt").write_text(f"10 20 50 60 {n}\n")
    (folder / "classes.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(NAMES)))


def draw_mot(folder):
    for n in range(2):
        write_picture(folder / f"seq/img1/{n + 1:06d}.jpg")
    rows = [f"{n + 1},1,10,20,40,40,1,{n + 1},1.0" for n in range(2)]
    (folder / "seq/gt").mkdir()
    (folder / "seq/gt/gt.txt").write_text("\n".join(rows))
    (folder / "seq/gt/labels.txt").write_text("".join(f"{name}\n" for name in NAMES))


MERGING = {
    "voc": [draw_voc],
    "cvat": [draw_cvat],
    "labelme": [draw_labelme, draw_labelme_flags, draw_labelme_xml],
    "via": [draw_via, draw_via_checkboxes, draw_via_image_classes],
    "labelstudio": [draw_labelstudio, draw_labelstudio_choices],
    "createml": [draw_createml],
    "vott": [draw_vott],
    "supervisely": [draw_supervisely],
    "datumaro": [draw_datumaro],
    "csv": [draw_csv, draw_one_hot_csv],
    "openimages": [draw_openimages],
    "kerasyolo": [draw_kerasyolo],
    "boxes": [draw_boxes],
    "mot": [draw_mot],
}
PLACES = {"supervisely": "ds/img"}


@pytest.mark.parametrize(
    ("form", "write"),
    [(form, write) for form, writers in MERGING.items() for write in writers],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_two_spellings_are_one_class_with_a_remark(tmp_path, form, write):
    for number in range(2) if form != "mot" else ():
        write_picture(tmp_path / PLACES.get(form, ".") / f"im{number}.jpg")
    write(tmp_path)
    source = read_source(form, tmp_path)
    assert source.names == ("cat",)
    assert [image.raw.classes.tolist() for image in source.images] == [[0], [0]]
    assert [remark for remark in source.remarks if "'cat' and 'cat '" in remark]


def test_two_spellings_in_tfrecord_are_one_class_with_a_remark(tmp_path):
    write(tmp_path, *(example(tmp_path, f"im{n}.jpg", name) for n, name in enumerate(NAMES)))
    source = read_source("tfrecord", tmp_path)
    assert source.names == ("cat",)
    assert any("'cat' and 'cat '" in remark for remark in source.remarks)


def draw_yolo(folder):
    sources.write_yolo_source(folder, {f"im{n}": f"{n} 0.5 0.5 0.2 0.2\n" for n in range(2)}, names=NAMES)


def draw_yolo_classes(folder):
    sources.write_yolo_source(folder, {f"im{n}": f"{n} 0.5 0.5 0.2 0.2\n" for n in range(2)}, names=None)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in NAMES))


def draw_coco(folder):
    for n in range(2):
        write_picture(folder / f"im{n}.jpg")
    rows = {f"im{n}.jpg": [{"category_id": n}] for n in range(2)}
    sources.write_coco_file(folder / "all.json", rows, categories=dict(enumerate(NAMES)))


def draw_folders(folder):
    for n, name in enumerate(NAMES):
        write_picture(folder / name / f"im{n}.jpg")


@pytest.mark.parametrize("draw", [draw_yolo, draw_yolo_classes, draw_coco, draw_folders])
def test_two_declared_classes_are_refused_with_both_spellings(tmp_path, draw):
    draw(tmp_path)
    with pytest.raises(UserError, match="called 'cat' and 'cat '"):
        read_source("folders" if draw is draw_folders else "auto", tmp_path)


def test_blanks_of_layout_alone_are_removed_without_a_remark():
    plan = infer_task([build_object("\n  cat\n", TAG, ""), build_object("dog ", TAG, "")])
    assert (plan.names, plan.remarks) == (("cat", "dog"), ())
