"""Small valid sources as annotation tools export them, as the parts of an input."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Final

from tests.fuzz.mutation import ABSENT
from tests.fuzz.seeds import Parts, dump_json, encode_mask, encode_picture
from tests.sources import SIZE

WIDE, HIGH = SIZE
SQUARE: Final = [[10, 20], [50, 20], [50, 60], [10, 60]]


def build_labelme_seeds() -> list[Parts]:
    """A JSON file, an XML file of the web tool, and a mask of that."""

    def document(*shapes: dict[str, Any], **more: Any) -> bytes:
        stated = {"imagePath": "x.jpg", "imageData": None, "imageWidth": WIDE, "imageHeight": HIGH}
        return dump_json({"version": "5", "flags": {"cat": True}, "shapes": list(shapes), **stated, **more})

    def shape(kind: str, points: Any, **more: Any) -> dict[str, Any]:
        return {"label": "cat", "shape_type": kind, "points": points, "group_id": None, **more}

    drawn = base64.b64encode(encode_mask(values=(1,))).decode()
    old = (
        b"<annotation><filename>y.jpg</filename><folder>f</folder><imagesize><nrows>80</nrows>"
        b"<ncols>96</ncols></imagesize><object><name>cat</name><deleted>0</deleted><polygon><pt><x>1</x>"
        b"<y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>9</x><y>20</y></pt></polygon></object><object><name>dog</name><segm>"
        b"<mask>y.png</mask></segm></object></annotation>"
    )
    held = base64.b64encode(encode_picture("JPEG")).decode()
    groups = [shape("point", [[20, 30]], label=name, group_id=1) for name in ("left", "right")]
    return [
        (document(shape("rectangle", SQUARE[::2]), shape("polygon", SQUARE)), ABSENT, ABSENT),
        (document(shape("circle", SQUARE[:2]), shape("rotation", SQUARE)), old, encode_mask(values=(1,))),
        (document(*groups, shape("rectangle", SQUARE[::2], group_id=1)), ABSENT, ABSENT),
        (document(shape("mask", SQUARE[::2], mask=drawn), flags={}), ABSENT, ABSENT),
        (
            document(
                shape("polygon", SQUARE), imageData=held, imagePath="z.jpg", imageWidth=24, imageHeight=16
            ),
            old,
            ABSENT,
        ),
    ]


def build_cvat_seeds() -> list[Parts]:
    """One XML file."""
    labels = b"<meta><task><labels><label><name>cat</name></label></labels></task>"
    labels += b"<original_size><width>96</width><height>80</height></original_size></meta>"
    shapes = [
        b'<box label="cat" xtl="10" ytl="20" xbr="50" ybr="60" rotation="30.0"/>',
        b'<polygon label="cat" points="10,20;50,20;50.5,60"/>',
        b'<ellipse label="cat" cx="30" cy="40" rx="20" ry="10"/>',
        b'<mask label="cat" left="10" top="20" width="4" height="2" rle="1, 2, 2, 3"/>',
        b'<tag label="cat"/>',
        b'<skeleton label="cat"><points label="1" points="10,20" outside="0" occluded="1"/></skeleton>',
    ]
    images = [
        b'<image id="0" name="x.jpg" subset="train" width="96" height="80">' + s + b"</image>" for s in shapes
    ]
    video = (
        b'<track id="0" label="cat"><box frame="1" outside="0" xtl="1" ytl="2" xbr="30" ybr="40"/></track>'
    )
    texts = [*images, b"".join(images[:4]), video + video.replace(b'"1"', b'"0"')]
    return [(b"<?xml version='1.0'?><annotations>" + labels + text + b"</annotations>",) for text in texts]


def build_via_seeds() -> list[Parts]:
    """A JSON file and a table."""
    rect = {"name": "rect", "x": 10, "y": 20, "width": 40, "height": 40}
    ring = {"name": "polygon", "all_points_x": [10, 50, 50], "all_points_y": [20, 20, 60]}
    rounds = [
        {"name": "circle", "cx": 30, "cy": 40, "r": 20},
        {"name": "ellipse", "cx": 30, "cy": 40, "rx": 9, "ry": 5, "theta": 1},
    ]
    regions = [
        {"shape_attributes": shape, "region_attributes": {"type": {"cat": True} if shape is ring else "cat"}}
        for shape in (rect, ring, *rounds)
    ]

    def listed(found: Any, **attributes: Any) -> dict[str, Any]:
        return {"x.jpg9": {"filename": "x.jpg", "size": 9, "regions": found, "file_attributes": attributes}}

    table = (
        b"#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
        b'region_attributes\nx.jpg,9,"{}",1,0,"{""name"":""rect"",""x"":1,""y"":2,""width"":30,""height"":40}",'
        b'"{""type"":""a""}"\n'
    )
    drawn = [[2, 10, 20, 40, 40], [7, 10, 20, 50, 20, 50, 60], [3, 30, 40, 20], []]
    third = {
        "project": {"vid_list": ["1"]},
        "attribute": {"1": {"aname": "type", "options": {"0": "cat"}}},
        "file": {"1": {"fid": 1, "fname": "x.jpg"}},
        "view": {"1": {"fid_list": [1]}},
        "metadata": {f"m{n}": {"vid": "1", "xy": xy, "av": {"1": "0"}} for n, xy in enumerate(drawn)},
    }
    whole = {"_via_settings": {}, "_via_img_metadata": listed(regions), "_via_attributes": {}}
    return [
        (dump_json(listed(regions)), ABSENT),
        (dump_json(listed({"0": regions[0]})), ABSENT),
        (dump_json(whole), ABSENT),
        (dump_json(listed([], type="cat")), ABSENT),
        (dump_json(third), ABSENT),
        (ABSENT, table),
    ]


def build_labelstudio_seeds() -> list[Parts]:
    """One JSON file."""
    box = {"x": 10, "y": 25, "width": 40, "height": 50, "rotation": 30, "rectanglelabels": ["cat"]}
    stated = {"original_width": WIDE, "original_height": HIGH, "image_rotation": 0}
    values = [
        {**box, "rotation": 0},
        box,
        {"points": [[10, 25], [50, 25], [50, 75]], "polygonlabels": ["cat"]},
        {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "ellipselabels": ["cat"]},
        {"choices": ["cat"]},
        {"format": "rle", "rle": [0, 0, 120, 0, 57, 36, 191, 255, 0, 0], "brushlabels": ["cat"]},
        {"x": 50, "y": 50, "width": 1, "keypointlabels": ["nose"]},
    ]
    rows = [{"id": f"r{i}", "parentID": "r0", **stated, "value": value} for i, value in enumerate(values)]

    def exported(results: list[Any]) -> bytes:
        image = {"image": "/data/upload/1/0a1b2c3d-x.jpg"}
        return dump_json([{"id": 5, "data": image, "annotations": [{"id": 1, "result": results}]}])

    flat = {"image": "/data/local-files/?d=x.jpg", "label": [{**box, **stated}], "id": 1, "annotator": 1}
    return [
        *((exported([row]),) for row in rows[:-1]),
        (exported(rows),),
        (exported([rows[0], rows[-1]]),),
        (dump_json([flat]),),
        (dump_json([{"image": "x.jpg", "id": 1, "annotation_id": 3, "choice": "cat"}]),),
    ]


def build_createml_seeds() -> list[Parts]:
    """One JSON file."""
    box = {"label": "cat", "coordinates": {"x": 30, "y": 40, "width": 40, "height": 40}}
    rows = [{"image": "x.jpg", "annotations": [box, box]}, {"imagefilename": "y.jpg", "annotations": []}]
    return [(dump_json(rows),)]


def build_supervisely_seeds() -> list[Parts]:
    """meta.json and an annotation file."""
    meta = dump_json({"classes": [{"title": "cat", "shape": "rectangle", "color": "#fff"}], "tags": []})

    def document(*objects: Any, tags: Any = ()) -> bytes:
        size = {"height": HIGH, "width": WIDE}
        return dump_json({"description": "", "tags": list(tags), "size": size, "objects": list(objects)})

    def shape(kind: str, points: Any, **more: Any) -> dict[str, Any]:
        corners = {"exterior": points, "interior": []}
        return {"classTitle": "cat", "geometryType": kind, "points": corners, **more}

    data = base64.b64encode(zlib.compress(encode_mask(values=(1,)))).decode()
    bitmap = {"classTitle": "cat", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [1, 2]}}
    return [
        (meta, document(shape("rectangle", SQUARE[::2]), shape("polygon", SQUARE))),
        (meta, document(bitmap, tags=[{"name": "train", "value": None}])),
        (ABSENT, document(tags=[{"name": "cat"}])),
    ]


def build_vott_seeds() -> list[Parts]:
    """An export and an asset file."""
    keys = ("left", "top", "width", "height")
    region = {
        "id": "r",
        "type": "RECTANGLE",
        "tags": ["cat"],
        "boundingBox": dict(zip(keys, (10, 20, 40, 40), strict=True)),
        "points": [{"x": x, "y": y} for x, y in SQUARE],
    }

    def asset(name: str, *regions: Any, state: int = 2) -> dict[str, Any]:
        stated = {
            "id": name,
            "name": name,
            "path": f"file:/a/{name}",
            "size": {"width": WIDE, "height": HIGH},
        }
        return {"asset": {**stated, "state": state}, "regions": list(regions), "version": "2.2.0"}

    first, second = asset("x.jpg", region, {**region, "type": "POLYGON"}), asset("y.jpg", state=1)
    export = dump_json({"securityToken": "t", "assets": {"x": first, "y": second}})
    return [(export, ABSENT), (export, dump_json(first)), (ABSENT, dump_json(first))]


def build_datumaro_seeds() -> list[Parts]:
    """Two subsets."""
    categories = {"label": {"labels": [{"name": "cat", "parent": ""}], "attributes": []}}
    ring = [float(value) for pair in SQUARE for value in pair]
    contents: list[dict[str, Any]] = [
        {"type": "bbox", "bbox": [10, 20, 40, 40], "attributes": {"rotation": 30.0}},
        {"type": "polygon", "points": ring, "group": 1},
        {"type": "polygon", "points": ring, "group": 1},
        {"type": "mask", "rle": {"counts": [1720, 2, 78, 2, 5878], "size": [HIGH, WIDE]}},
        {"type": "ellipse", "points": [10, 20, 50, 60], "attributes": {"is_crowd": True}},
        {"type": "label"},
    ]

    def document(name: str, *annotations: Any) -> bytes:
        rows = [{"id": number, "group": 0, "label_id": 0, **row} for number, row in enumerate(annotations)]
        image = {"path": f"{name}.jpg", "size": [HIGH, WIDE]}
        return dump_json(
            {"categories": categories, "items": [{"id": name, "annotations": rows, "image": image}]}
        )

    return [
        *((document("x", content), ABSENT) for content in contents[:-1] if content["type"] != "ellipse"),
        (document("x", *contents), document("y", contents[0])),
        (document("x", contents[-1]), ABSENT),
    ]
