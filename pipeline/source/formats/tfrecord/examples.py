"""Convert the features of TensorFlow's object detection API to the annotations of one image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.source.embedded_image import EmbeddedSpan
from pipeline.source.formats.tfrecord.records import Feature, TfRecord, parse_example
from pipeline.source.reading.class_lists import check_distinct_names
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files
from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.reading.shapes import TAG, Shape, build_box, parse_class_name
from pipeline.source.types import ReadOptions

IMAGE_KEY: Final = "image/encoded"
MASKS_NOTE: Final = AnnotationNote(False, "its masks are left aside: boxes alone are read", "no-outline")
KEYPOINTS_NOTE: Final = AnnotationNote(
    False, "its keypoints are left aside: boxes alone are read", "no-keypoints"
)

_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")
_MASK_KEY: Final = "image/object/mask"
_KEYPOINT_KEY: Final = "image/object/keypoint/"
_CROWD_KEYS: Final = ("image/object/is_crowd", "image/object/group_of")
_ITEM: Final = re.compile(r"item\s*\{([^{}]*)\}")
_ITEM_ID: Final = re.compile(r"\bid\s*:\s*(\d{1,9})")
_ITEM_NAME: Final = re.compile(r"\b(display_name|name)\s*:\s*(?:\"([^\"]*)\"|'([^']*)')")


class ExampleBox(NamedTuple):
    """One box: x1 y1 x2 y2 as fractions of the image size, and its class as text or number."""

    corners: Sequence[float]
    label: str
    number: int | None


def read_label_maps(folder: Path) -> dict[int, str]:
    """Return class names by number, of label_map.pbtxt files: `item { name: "cat" id: 1 }`.

    Raises:
        UserError: Two files name a class differently, or two classes have the same name.
    """
    names: dict[int, str] = {}
    for path in list_files(folder, ".pbtxt"):
        try:
            text, _ = load_text(path)
        except UnreadableFileError:
            continue
        for item in _ITEM.findall(text):
            number = _ITEM_ID.search(item)
            stated = {found[0]: found[1] or found[2] for found in _ITEM_NAME.findall(item)}
            name = stated.get("display_name") or stated.get("name") or ""
            if number and name.strip():
                _add_name(names, int(number[1]), name, path)
    check_distinct_names(names.values(), folder)
    return names


def _add_name(names: dict[int, str], number: int, name: str, path: Path) -> None:
    if names.setdefault(number, name) != name:
        raise UserError(
            f"{path} and another label map name class {number} differently, {name!r} and {names[number]!r}: "
            "correct or remove one of them"
        )


def parse_record(
    record: TfRecord, path: Path, names: Mapping[int, str], options: ReadOptions
) -> ImageAnnotations | None:
    """Return the annotations of the image in one record; None if it holds no image.

    Raises:
        ValueError: The record is no tf.train.Example.
    """
    features = parse_example(record.contents)
    image = features.get(IMAGE_KEY, Feature()).spans
    if not image:
        return None
    boxes, crowds, fault = _list_boxes(record, features, options)
    objects, notes = collect_objects(
        [(f"object {number}", box) for number, box in boxes], lambda box: _build_object(box, names)
    )
    tags = [] if boxes or crowds else list(_list_tags(record, features))
    labels, tag_notes = collect_objects(tags, lambda box: (_name_class(box, names), TAG))
    unread = [MASKS_NOTE] if _MASK_KEY in features else []
    if any(key.startswith(_KEYPOINT_KEY) and found.numbers for key, found in features.items()):
        unread.append(KEYPOINTS_NOTE)
    start, stop = image[0]
    return ImageAnnotations(
        path,
        (_get_name(record, features),),
        (*objects, *labels),
        (*notes, *crowds, *tag_notes, *unread),
        size=_get_size(features),
        fault=fault,
        normalized=True,
        load=EmbeddedSpan(record.offset + start, stop - start),
    )


def _list_boxes(
    record: TfRecord, features: Mapping[str, Feature], options: ReadOptions
) -> tuple[list[tuple[int, ExampleBox]], list[AnnotationNote], str]:
    """Return the numbered boxes, notes on crowds, and why the boxes cannot be read."""
    sides = [features.get(f"image/object/bbox/{side}", Feature()).numbers for side in _SIDES]
    texts = _get_texts(record, features, "image/object/class/text")
    numbers = features.get("image/object/class/label", Feature()).numbers
    count = len(sides[0])
    if {len(side) for side in sides} != {count} or not {len(texts), len(numbers)} <= {0, count}:
        return [], [], "lists of boxes and classes that differ in length"
    crowd_flags = [features.get(key, Feature()).numbers for key in _CROWD_KEYS]
    boxes, notes = [], []
    for index, corners in enumerate(zip(*sides, strict=True)):
        is_crowd = any(index < len(flags) and flags[index] == 1 for flags in crowd_flags)
        if is_crowd and options.crowds != "objects":
            notes.append(AnnotationNote(True, f"object {index + 1}: a crowd, not one object", "crowd"))
            continue
        label = texts[index] if texts else ""
        boxes.append((index + 1, ExampleBox(corners, label, int(numbers[index]) if numbers else None)))
    return boxes, notes, ""


def _list_tags(record: TfRecord, features: Mapping[str, Feature]) -> list[tuple[str, ExampleBox]]:
    """Return the class of the whole image, if it has one."""
    texts = _get_texts(record, features, "image/class/text")
    numbers = features.get("image/class/label", Feature()).numbers
    found = [ExampleBox((), text, None) for text in texts] or [
        ExampleBox((), "", int(number)) for number in numbers
    ]
    return [(f"class {number}", tag) for number, tag in enumerate(found, 1)]


def _build_object(box: ExampleBox, names: Mapping[int, str]) -> tuple[str, Shape]:
    return _name_class(box, names), build_box(box.corners)


def _name_class(box: ExampleBox, names: Mapping[int, str]) -> str:
    if box.label or box.number is None:
        return parse_class_name(box.label)
    return names.get(box.number, f"class_{box.number}")


def _get_texts(record: TfRecord, features: Mapping[str, Feature], key: str) -> list[str]:
    spans = features.get(key, Feature()).spans
    return [record.contents[start:stop].decode(errors="replace") for start, stop in spans]


def _get_name(record: TfRecord, features: Mapping[str, Feature]) -> str:
    """Return the file name of the image, without folders; empty if none is stated."""
    for key in ("image/filename", "image/source_id"):
        for text in _get_texts(record, features, key)[:1]:
            if name := PurePosixPath(text.replace("\\", "/")).name.replace("\0", ""):
                return name
    return ""


def _get_size(features: Mapping[str, Feature]) -> tuple[int, int] | None:
    width, height = (
        next(iter(features.get(f"image/{side}", Feature()).numbers), 0) for side in ("width", "height")
    )
    return (int(width), int(height)) if min(width, height) > 0 and max(width, height) < 1e9 else None
