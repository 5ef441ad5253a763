"""Small valid sources in every format, as the parts of an input: fuzzing starts from them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from typing import Any, Final

import numpy as np
from PIL import Image

from tests.fuzz.mutation import ABSENT
from tests.sources import SIZE

Parts = tuple[bytes, ...]
WIDE, HIGH = SIZE
SQUARE: Final = [[10, 20], [50, 20], [50, 60], [10, 60]]
_RING: Final = [float(value) for pair in SQUARE for value in pair]


def dump_json(value: Any) -> bytes:
    """Return a value as JSON."""
    return json.dumps(value).encode()


def encode_picture(form: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """Return a small image file of noise."""
    noise = np.random.default_rng(1).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(file, form, **options)
    return file.getvalue()


def encode_mask(mode: str = "L", *, values: tuple[int, ...] = (1, 2, 255)) -> bytes:
    """Return a PNG of a square per value."""
    pixels = np.zeros((HIGH, WIDE), np.uint16 if mode == "I;16" else np.uint8)
    for number, value in enumerate(values):
        pixels[10 : 30 + number, 10 + 25 * number : 30 + 25 * number] = value
    file, image = io.BytesIO(), Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    (image.convert(mode) if mode in {"RGB", "RGBA", "1"} else image).save(file, "PNG")
    return file.getvalue()


def build_yolo_seeds() -> list[Parts]:
    """data.yaml, two label files, a list of images, classes.txt."""
    box, ring = b"0 0.5 0.5 0.2 0.4\n1 .25 .25 .1 .1\n", b"0 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n"
    pose = b"0 0.5 0.5 0.4 0.4 0.4 0.4 2 0.6 0.4 2 0.5 0.6 1\n"
    names, listed = b"names: [a, b]\n", b"./images/a.jpg\nimages/b.jpg\n"
    return [
        (b"path: .\ntrain: images\nval: [images]\nnc: 2\n" + names, box, box, ABSENT, ABSENT),
        (b"train: train.txt\nval: images/b.jpg\nnames:\n  0: a\n  1: b\n", ring, box, listed, ABSENT),
        (b"path: ../x\ntrain: ../images\ntask: obb\n" + names, ring, ring, ABSENT, ABSENT),
        (b"train: images\nkpt_shape: [3, 3]\nflip_idx: [1, 0, 2]\n" + names, pose, pose, ABSENT, ABSENT),
        (ABSENT, pose, b"", ABSENT, b"cat\ndog\n"),
        (b"download: https://x.org/a.zip\ntrain: images\nnc: 3\n", box, ABSENT, ABSENT, ABSENT),
    ]


def build_coco_seeds() -> list[Parts]:
    """Two annotation files."""

    def document(category: dict[str, Any], *annotations: dict[str, Any]) -> bytes:
        images = [{"id": i, "file_name": f"{i}.jpg", "width": WIDE, "height": HIGH} for i in (1, 2)]
        rows = [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": [10, 20, 40, 40], "iscrowd": 0, **row}
            for i, row in enumerate(annotations)
        ]
        return dump_json({"images": images, "annotations": rows, "categories": [{"id": 1, **category}]})

    named = {"name": "cat", "supercategory": "pet"}
    points = {"keypoints": ["left_eye", "right_eye"], "skeleton": [[1, 2]], **named}
    runs = {"size": [HIGH, WIDE], "counts": [0, 100, WIDE * HIGH - 100]}
    packed = {"size": [HIGH, WIDE], "counts": "PPYo0"}
    return [
        (document(named, {}, {"bbox": [1, 2, 3, 4]}), ABSENT),
        (
            document(named, {"segmentation": [_RING]}, {"segmentation": runs, "iscrowd": 1}),
            document(named, {}),
        ),
        (document(named, {"segmentation": packed}, {"segmentation": [_RING, [1, 2, 3, 4, 5, 6]]}), ABSENT),
        (document(points, {"keypoints": [10, 20, 2, 50, 60, 1], "num_keypoints": 2}), ABSENT),
    ]


def build_voc_seeds() -> list[Parts]:
    """Two XML files and a list of a split."""
    size = f"<size><width>{WIDE}</width><height>{HIGH}</height><depth>3</depth></size>".encode()
    box = b"<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>"
    ring = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(SQUARE, 1)).encode()
    turned = b"<robndbox><cx>30</cx><cy>40</cy><w>40</w><h>20</h><angle>0.5</angle></robndbox>"
    inner = [box, box + b"<polygon>" + ring + b"</polygon>", turned, box + b"<difficult>1</difficult>"]
    files = [
        b"<annotation><filename>x.jpg</filename>"
        + size
        + b"<object><name>cat</name>"
        + shape
        + b"</object><object><name>dog</name>"
        + box
        + b"</object></annotation>"
        for shape in inner
    ]
    return [(file, files[0], b"x\ny 1\n") for file in files] + [(files[0], ABSENT, ABSENT)]


def build_dota_seeds() -> list[Parts]:
    """Two label files."""
    line = b"30 20 50 40 30 60 10 40 large-vehicle 0\n"
    return [
        (b"imagesource:GoogleEarth\ngsd:0.14\n" + line, line),
        (line.replace(b" 0\n", b"\n"), b"gsd:null"),
    ]


def build_csv_seeds() -> list[Parts]:
    """One table."""
    tables = [
        "filename,width,height,class,xmin,ymin,xmax,ymax\nx.jpg,96,80,cat,1,2,50,60\ny.jpg,96,80,dog,1,2,3,4",
        "image;label;x;y;w;h;split\nx.jpg;cat;10;20;40;40;train\ny.jpg;cat;1;2;30;40;val",
        "image,label,x_center,y_center,w,h,width,height\nx.jpg,cat,30,40,40,40,96,80",
        'image_id,bbox,class,patient\nx,"[10, 20.0, 40, 40]",cat,p1\nx,"[1, 2, 3, 4]",cat,p1',
        "x.jpg,10,20,50,60,cat\ny.jpg,,,,,",
        "ImageID,LabelName,XMin,XMax,YMin,YMax\nx,cat,0.1,0.5,0.25,0.75",
        "image,label\nx.jpg,cat\ny.jpg,dog",
        "filename, cat, dog\nx.jpg, 1, 0\ny.jpg, 0, 1",
    ]
    return [(table.encode(),) for table in tables]


def build_mask_seeds() -> list[Parts]:
    """A mask, labelmap.txt and classes.txt."""
    colors = b"# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,1,1::\ndog:2,2,2::\n"
    return [
        (encode_mask(), colors, ABSENT),
        (encode_mask("P"), b"cat:128,0,0::\n", ABSENT),
        (encode_mask("RGB"), colors, ABSENT),
        (encode_mask("I;16", values=(300, 2)), ABSENT, b"cat\ndog\n"),
        (encode_mask("1", values=(255,)), ABSENT, b"1 cat\n"),
        (encode_mask("RGBA", values=(255,)), ABSENT, ABSENT),
    ]


def build_box_seeds() -> list[Parts]:
    """Two label files, classes.txt and a list of a split."""
    return [
        (b"10 20 50 60 3\n1 2 30 40 1\n", b"10,20,50,60,3\n", b"0 none\n3 open\n", ABSENT),
        (b"10 20 50 60 short\n", b"", ABSENT, b"x.jpg x.txt\n"),
    ]


def build_kerasyolo_seeds() -> list[Parts]:
    """A list of images with boxes, and class names."""
    return [
        (b"x.jpg 1,2,30,40,0 5,6,20,30,1\ny.jpg 3,4,9,9,0\n", b"cat\ndog\n"),
        (b"/data/a b/x.jpg 1,2,30,40,0\r\ny.jpg\n", ABSENT),
    ]


def build_folder_seeds() -> list[Parts]:
    """The paths of the images, one per line."""
    return [
        (b"cat/1.jpg\ncat/2.png\ndog/3.jpg\nREADME.md",),
        (b"train/cat/1.jpg\ntrain/dog/2.jpg\nval/cat/3.jpg\nvalid/dog/4.jpg\ntest/cat/deep/5.jpg\n6.jpg",),
        (b"set/train2017/a b/1.jpg\nset/validation/\xff\xfe/1.jpg\nset/val/.x/1.jpg\nset/empty/",),
    ]


def build_label_line_seeds() -> list[Parts]:
    """Two label files of one dataset, and of this project."""
    labels = [(label, other) for _, label, other, *_ in build_yolo_seeds()]
    return [*labels, (b"1\n", b"0 0.1 0.1 0.2 0.2 7 7 7\n")]


def build_archive_seeds() -> list[Parts]:
    """An archive."""
    inside = [
        ("a/images/x.png", encode_picture()),
        ("a/labels/x.txt", b"0 .5 .5 .1 .1\n"),
        ("a/data.yaml", b"nc: 1"),
    ]
    zipped, plain = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in inside:
            archive.writestr(zipfile.ZipInfo(name), data)
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in inside:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    taped = plain.getvalue()[: -8 * 512]  # without most of the empty blocks at its end
    packed = gzip.compress(taped, mtime=0), bz2.compress(taped), lzma.compress(taped)
    return [(data,) for data in (zipped.getvalue(), taped, *packed)]


def build_image_seeds() -> list[Parts]:
    """The suffix of an image, and the image."""
    exif = Image.Exif()
    exif[274] = 6
    forms = [
        (".jpg", encode_picture("JPEG", exif=exif)),
        (".jpg", encode_picture("JPEG", "CMYK")),
        (".jpg", encode_picture("JPEG", "L", progressive=True)),
        (".png", encode_picture("PNG", "P")),
        (".png", encode_picture("PNG", "RGBA")),
        (".png", encode_mask("I;16", values=(9_000, 30_000, 65_535))),
        (".png", encode_picture("PNG", "1")),
        (".bmp", encode_picture("BMP")),
        (".gif", encode_picture("GIF", "P")),
        (".tif", encode_picture("TIFF", compression="tiff_lzw")),
        (".tif", encode_picture("TIFF", "L", compression="tiff_deflate")),
        (".webp", encode_picture("WEBP", lossless=True)),
        (".webp", encode_picture("WEBP", quality=40)),
        (".jp2", encode_picture("JPEG2000")),
        (".avif", encode_picture("AVIF")),
        (".ppm", encode_picture("PPM")),
    ]
    return [(suffix.encode(), data) for suffix, data in forms]
