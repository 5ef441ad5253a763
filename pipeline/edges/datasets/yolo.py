"""YOLO datasets: a data.yaml in any of its forms, or images/ and labels/."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core import label_lines
from pipeline.core.boxes import Note, Raw
from pipeline.core.defects import Defect
from pipeline.core.refusal import Refused
from pipeline.edges.datasets import data_yaml
from pipeline.edges.datasets.data_yaml import Data
from pipeline.edges.datasets.source import Annotated, Source, held_out, images_in, relative, split_of

_EMPTY = Raw(np.zeros(0, np.int64), np.zeros((0, 4)), ())
_NOT_LABELS = {"classes.txt", "obj.names", "names.txt", "train.txt", "val.txt", "test.txt", "valid.txt"}


class Found(NamedTuple):
    """An image, the label file that belongs to it (whether there is one or not), and its polygons."""

    image: Annotated
    label: Path
    polygons: int


def read(folder: Path) -> Source:
    """Read a YOLO dataset.

    Raises:
        Refused: data.yaml is not safe or not understood, or there are no images or no labels.
    """
    file = data_yaml.find(folder)
    data = data_yaml.read(file) if file else _by_folders(folder)
    if not data.splits:  # a data.yaml may give the names alone
        data = data._replace(splits=_by_folders(data.root).splits)
    splits: dict[Path, list[str | None]] = defaultdict(list)
    for split, images in data.splits.items():
        for image in images:
            splits[image].append(split)
    found = [_image(image, splits[image], data) for image in sorted(splits)]
    if not found:
        raise Refused(f"no images in {folder}: expected a data.yaml that names them, or images/ and labels/")
    if not any(item.label.is_file() for item in found):
        raise Refused(
            f"no label files for the images in {folder}: expected {relative(found[0].label, folder)}"
        )
    source = _source(data, found)
    return source._replace(remarks=(*source.remarks, *_elsewhere(found, folder)))


def _source(data: Data, found: list[Found]) -> Source:
    images = tuple(item.image for item in found)
    remarks = list(data.remarks)
    if polygons := sum(item.polygons for item in found):
        remarks.append(f"{polygons} outlines (segmentation) were turned into boxes")
    names = data.names
    if not names:
        highest = max((int(image.raw.classes.max(initial=-1)) for image in images), default=-1)
        names = tuple(f"class_{index}" for index in range(highest + 1))
        remarks.append(f"the source names no classes: they are called class_0 to class_{highest}")
    return Source(names, images, tuple(_orphans(found, data.root)), tuple(remarks))


def _elsewhere(found: list[Found], folder: Path) -> list[str]:
    """Warn of images outside the source folder, whose changes `dvc repro` cannot notice."""
    places = sorted({item.image.path.parent for item in found})
    outside = [place for place in places if not place.resolve().is_relative_to(folder.resolve())]
    return [
        f"images lie outside data.source, in {place}, where changes go unnoticed" for place in outside[:1]
    ]


def _image(image: Path, splits: list[str | None], data: Data) -> Found:
    label = _label_of(image)
    split = held_out(splits)
    notes = []
    if len(set(splits)) > 1:
        notes.append(
            Note(False, f"listed in {' and '.join(sorted(map(str, set(splits))))}: kept in {split} alone")
        )
    raw, polygons, fault = _EMPTY, 0, ""
    if not label.is_file():
        notes.append(Note(False, "no label file: taken as an image without objects"))
    else:
        try:
            lines = label_lines.parse(label.read_text(encoding="utf-8-sig"), pose=data.pose)
            raw, polygons, notes = lines.raw, lines.polygons, [*notes, *lines.notes]
        except (UnicodeDecodeError, OSError):
            fault = f"its label file {relative(label, data.root)} cannot be read as text"
    source = relative(image, data.root)
    entry = Annotated(image, source, split, raw, scaled=True, notes=tuple(notes), fault=fault)
    return Found(entry, label, polygons)


def _label_of(image: Path) -> Path:
    """Return where Ultralytics looks, the last `images` exchanged for `labels`, or else beside the image."""
    parts = list(image.parts)
    beside = image.with_suffix(".txt")
    if "images" not in parts[:-1]:
        return beside
    last = len(parts) - 1 - parts[::-1].index("images")
    there = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
    return beside if beside.is_file() and not there.is_file() else there


def _orphans(found: list[Found], root: Path) -> list[Defect]:
    """Name the label files without an image, in every folder that holds labels of images."""
    labels = {item.label for item in found}
    folders = {label.parent for label in labels if label.parent.is_dir()}
    texts = (text for folder in folders for text in folder.glob("*.txt") if text.name not in _NOT_LABELS)
    return [
        Defect(relative(text, root), "quarantined", "a label file without an image")
        for text in sorted(texts)
        if text not in labels
    ]


def _by_folders(folder: Path) -> Data:
    """Read a dataset without data.yaml: images/, images/<split>/ or <split>/images/."""
    splits: dict[str | None, tuple[Path, ...]] = {}
    parts = [path for path in sorted(folder.iterdir()) if (path / "images").is_dir() and split_of(path.name)]
    parts += [path for path in sorted((folder / "images").glob("*")) if path.is_dir() and split_of(path.name)]
    for part in parts:
        split = split_of(part.name)
        splits[split] = (*splits.get(split, ()), *images_in(part))
    if not parts:
        splits[None] = tuple(images_in(folder / "images"))
    return Data(folder, data_yaml.plain_names(folder), splits)
