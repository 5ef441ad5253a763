"""Small valid sources as public benchmarks are published, as the parts of an input."""

from __future__ import annotations

import struct

from pipeline.source.formats.tfrecord.records import compute_masked_crc
from tests.fuzz.mutation import ABSENT
from tests.fuzz.seeds import Parts, encode_picture


def build_kitti_seeds() -> list[Parts]:
    """Two label files."""
    car = b"Car 0.00 0 -1.57 10.5 20.25 50.00 60.75 2.85 2.63 12.34 0.47 1.49 69.44 -1.56\n"
    ignored = b"DontCare -1 -1 -10 60.0 10.0 70.0 20.0 -1 -1 -1 -1000 -1000 -1000 -10\n"
    return [(car, ABSENT), (car + ignored, b""), (ignored, car * 2)]


def build_visdrone_seeds() -> list[Parts]:
    """Two annotation files."""
    car, ignored = b"10,20,40,30,1,4,0,0\n", b"1,2,3,4,0,0,0,0,\n"
    return [(car, ABSENT), (car + ignored, b""), (ignored, car.replace(b",4,", b",11,"))]


def build_mot_seeds() -> list[Parts]:
    """gt.txt, seqinfo.ini and labels.txt of one sequence."""
    rows = b"1,1,11,21,40,30,1,1,0.8\n1,2,5,6,7,8,0,3,1\n2,1,12,22,40,30,1,2,0\n"
    old = b"1,1,11,21,40,30,1,-1,-1,-1\n"
    info = b"[Sequence]\nname=s\nimDir=img1\nseqLength=2\nimWidth=96\nimHeight=80\nimExt=.jpg\n"
    return [(rows, info, ABSENT), (old, info, ABSENT), (rows, info, b"cat\ndog\nbird\n")]


def build_wider_seeds() -> list[Parts]:
    """Two lists."""
    first = b"x.jpg\n2\n10 20 40 30 0 0 0 0 0 0\n1 2 3 4 2 0 0 1 0 0\n"
    second = b"y.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n"
    return [(first, ABSENT), (first + second, ABSENT), (first, second), (second, b"x.jpg\n1\n1 2 3 4\n")]


def build_openimages_seeds() -> list[Parts]:
    """A table of boxes and one of class names."""
    header = b"ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf\n"
    row = b"x,xclick,/m/01yrx,1,0.1,0.5,0.25,0.75,0,0,0\n"
    group = row.replace(b"x,x", b"y,x").replace(b"0\n", b"1\n")
    names = b'/m/01yrx,Cat\n/m/0bt9lr,"Dog, tame"\n'
    return [(header + row, names), (header + row + group, ABSENT), (header + row + row, names)]


def build_tfrecord_seeds() -> list[Parts]:
    """A file of one record, and a label map."""
    image = encode_picture("JPEG")
    numbers = struct.pack("<f", 0.25)
    boxes = [
        (f"image/object/bbox/{side}".encode(), 2, _wire_field(1, numbers))
        for side in ("xmin", "ymin", "xmax", "ymax")
    ]
    text = (b"image/object/class/text", 1, _wire_field(1, b"cat"))
    label = (b"image/object/class/label", 3, _wire_field(1, b"\x01"))
    held = (b"image/encoded", 1, _wire_field(1, image)), (b"image/filename", 1, _wire_field(1, b"x.jpg"))
    label_map = b'item { id: 1 name: "cat" }\n'
    return [
        (_frame_record([*held, *boxes, text]), ABSENT),
        (_frame_record([*held, *boxes, label]) * 2, label_map),
        (_frame_record([*held, (b"image/class/label", 3, _wire_field(1, b"\x01"))]), label_map),
    ]


def _wire_field(number: int, value: bytes) -> bytes:
    """Return a field of a protocol buffer: its number, its length and its bytes."""
    length, size = b"", len(value)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def _frame_record(features: list[tuple[bytes, int, bytes]]) -> bytes:
    """Return a record of TFRecord with features: name, kind of list, and the list."""
    entries = [
        _wire_field(1, _wire_field(1, name) + _wire_field(2, _wire_field(kind, values)))
        for name, kind, values in features
    ]
    contents = _wire_field(1, b"".join(entries))
    length = struct.pack("<Q", len(contents))
    return length + struct.pack("<I", compute_masked_crc(length)) + contents + bytes(4)
