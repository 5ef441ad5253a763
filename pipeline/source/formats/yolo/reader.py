"""YOLO datasets: a data.yaml in any of its forms, or images/ and labels/; all tasks but classify."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.source.formats.yolo import data_yaml, label_lines
from pipeline.source.formats.yolo import folders as yolo_folders
from pipeline.source.formats.yolo.data_yaml import DataYaml
from pipeline.source.formats.yolo.folders import label_of
from pipeline.source.formats.yolo.label_lines import LabelLayout, LabelLines
from pipeline.source.reading.file_tree import files_of, images_in, in_order, length_of, relative
from pipeline.source.reading.image_index import plain
from pipeline.source.types import AnnotatedImage, Source, by_outlines, held_out

LOOKED_FOR: Final = "data.yaml, or images with text files of `class x y w h`"

_LONGEST: Final = 50_000_000
"""Bytes of a label file: half a million boxes."""
_MOST_UNNAMED: Final = 2000
"""Classes without names; a higher number is a slip of somebody's."""
_EMPTY: Final = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())
_NOT_LABELS: Final = frozenset({"classes.txt", "obj.names", "names.txt"}) | {
    f"{name}.txt" for name in ("train", "val", "test", "valid", "readme", "README", "requirements")
}


def recognises(folder: Path) -> bool:
    """Tell by data.yaml, or by the first label files; labelTxt/ is DOTA's."""
    if any(path.is_dir() for place in ("labelTxt", "*/labelTxt") for path in folder.glob(place)):
        return False
    return data_yaml.recognises(folder) or yolo_folders.recognises(folder)


class YoloImage(NamedTuple):
    """An image and its label file.

    Attributes:
        image: The image file.
        splits: Where it is listed.
        label: Where its label file is, or would be.
        lines: What that holds; None where there is none, or none that can be read.
        fault: Why it cannot be read.
    """

    image: Path
    splits: tuple[str | None, ...]
    label: Path
    lines: LabelLines | None
    fault: str = ""


def read(folder: Path) -> Source:
    """Read a YOLO dataset.

    Raises:
        Refused: data.yaml is not safe or not understood, or there are no images or no labels.
    """
    data = _described(folder)
    splits: dict[Path, tuple[str | None, ...]] = {}
    for split, images in data.splits.items():
        for image in dict.fromkeys(images):
            splits[image] = (*splits.get(image, ()), split)
    found = _respelled([_find(image, splits[image], data.root) for image in in_order(splits)], data.root)
    if not found:
        raise UserError(
            f"no images in {folder}: expected a data.yaml that names them, or images/ and labels/"
        )
    if not any(item.lines or item.fault for item in found):
        raise UserError(
            f"no label files for the images in {folder}: expected {relative(found[0].label, folder)}"
        )
    source = _source(data, found)
    unlisted = _unlisted(found, folder, data.root)
    remarks = (*source.remarks, *_elsewhere(found, folder))
    return source._replace(remarks=remarks, defects=(*source.defects, *unlisted))


def _described(folder: Path) -> DataYaml:
    file = data_yaml.find(folder)
    if not file:
        return yolo_folders.read(folder)
    data = data_yaml.read(file)
    return data if data.splits else data._replace(splits=yolo_folders.read(data.root).splits)


def _find(image: Path, splits: tuple[str | None, ...], root: Path) -> YoloImage:
    return _labelled(image, splits, label_of(image), root)


def _respelled(found: list[YoloImage], root: Path) -> list[YoloImage]:
    """Give an image without a label file the only one whose name differs in capitals or accents alone."""
    bare = [item for item in found if item.lines is None and not item.fault]
    named = Counter((item.label.parent, plain(item.image.stem)) for item in bare)
    claimed = {item.label for item in found}
    texts = [text for folder in {item.label.parent for item in bare} for text in files_of(folder, ".txt")]
    spare = {(text.parent, plain(text.stem)): text for text in texts if text not in claimed}
    meant = {
        item.image: spare[place]
        for item in bare
        if (place := (item.label.parent, plain(item.image.stem))) in spare and named[place] == 1
    }
    return [
        _labelled(item.image, item.splits, meant[item.image], root) if item.image in meant else item
        for item in found
    ]


def _labelled(image: Path, splits: tuple[str | None, ...], label: Path, root: Path) -> YoloImage:
    length = length_of(label)
    if length is None:
        return YoloImage(image, splits, label, None)
    if length > _LONGEST:
        fault = f"its label file {relative(label, root)} has more than {_LONGEST:,} bytes"
        return YoloImage(image, splits, label, None, fault)
    try:
        return YoloImage(image, splits, label, label_lines.parse(label.read_text(encoding="utf-8-sig")))
    except (UnicodeDecodeError, OSError):
        fault = f"its label file {relative(label, root)} cannot be read as text"
        return YoloImage(image, splits, label, None, fault)


def _source(data: DataYaml, found: list[YoloImage]) -> Source:
    lines = [item.lines for item in found if item.lines]
    form = label_lines.layout(lines, keypoints=data.keypoints, oriented=data.oriented)
    images = tuple(_image(item, form, data.root) for item in found)
    task, mixed = (form.form, ()) if form.form != "outlines" else by_outlines(images)
    names, unnamed = (data.names, ()) if data.names else _numbered(images)
    remarks = (*data.remarks, *form.remarks, *mixed, *unnamed)
    return Source(names, images, tuple(_orphans(found, data.root)), remarks, task, form.keypoints)


def _numbered(images: tuple[AnnotatedImage, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    highest = max((int(image.raw.classes.max(initial=-1)) for image in images), default=-1)
    names = tuple(f"class_{index}" for index in range(min(highest + 1, _MOST_UNNAMED)))
    return names, (f"the source names no classes: they are called class_0 to class_{len(names) - 1}",)


def _image(found: YoloImage, form: LabelLayout, root: Path) -> AnnotatedImage:
    split = held_out(found.splits)
    notes: tuple[AnnotationNote, ...] = ()
    if len(found.splits) > 1:
        listed = " and ".join(sorted(map(str, found.splits)))
        notes = (AnnotationNote(False, f"listed in {listed}: kept in {split} alone", "listed-twice"),)
    if found.label.name != f"{found.image.stem}.txt":
        notes = (*notes, AnnotationNote(False, f"its label file is called {found.label.name}"))
    raw, odd = label_lines.objects(found.lines, form) if found.lines else (_EMPTY, ())
    if not found.lines and not found.fault:
        odd = (AnnotationNote(False, "no label file: taken as an image without objects", "missing-label"),)
    source = relative(found.image, root)
    return AnnotatedImage(
        found.image, source, split, raw, scaled=True, notes=(*notes, *odd), fault=found.fault
    )


def _elsewhere(found: list[YoloImage], folder: Path) -> list[str]:
    """Warn of images outside the source folder, whose changes `dvc repro` cannot notice."""
    places = sorted({item.image.parent for item in found})
    outside = [place for place in places if not place.resolve().is_relative_to(folder.resolve())]
    return [
        f"images lie outside data.source, in {place}, where changes go unnoticed" for place in outside[:1]
    ]


def _unlisted(found: list[YoloImage], folder: Path, root: Path) -> list[Finding]:
    """Name the images of the source that lie in none of its splits."""
    listed = {item.image for item in found}
    others = [path for path in images_in(folder) if path not in listed]
    if others:  # links apart, there are seldom any
        listed = {path.resolve() for path in listed}
        others = [path for path in others if path.resolve() not in listed]
    reason = "in none of the splits of data.yaml, or of the folders"
    return [Finding(relative(path, root), "quarantined", reason, "unlisted-image") for path in others]


def _orphans(found: list[YoloImage], root: Path) -> list[Finding]:
    """Name the label files without an image, in every folder that holds labels of images."""
    labels = {item.label for item in found}
    folders = {label.parent for label in labels if label.parent.is_dir()}
    texts = (text for folder in folders for text in files_of(folder, ".txt") if text.name not in _NOT_LABELS)
    return [
        Finding(relative(text, root), "quarantined", "a label file without an image", "orphan-label")
        for text in sorted(texts)
        if text not in labels
    ]
