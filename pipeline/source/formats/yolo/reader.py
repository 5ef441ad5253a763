"""Read YOLO datasets: a data.yaml in any of its forms, or images/ and labels/; all tasks but classify."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.source.formats.yolo.data_yaml import DataYaml, find_data_yaml, has_data_yaml, read_data_yaml
from pipeline.source.formats.yolo.folders import find_label_path, has_yolo_labels, read_yolo_folders
from pipeline.source.formats.yolo.label_lines import (
    LabelLayout,
    LabelLines,
    build_label_objects,
    infer_label_layout,
    parse_label_lines,
)
from pipeline.source.reading.file_tree import (
    format_relative_path,
    get_file_size,
    list_folder_files,
    list_images,
    sort_paths,
)
from pipeline.source.reading.image_index import normalize_name
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    AnnotatedImage,
    ReadOptions,
    Source,
    choose_held_out_split,
    choose_task_by_outlines,
)

RECOGNIZED_BY: Final = "data.yaml, or images with text files of `class x y w h`"

_MAX_LABEL_BYTES: Final = 50_000_000
"""About half a million boxes."""
_MAX_UNNAMED_CLASSES: Final = 2000
"""A higher class index without a name is a typing error."""
_NO_OBJECTS: Final = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())
_NON_LABEL_FILES: Final = frozenset({"classes.txt", "obj.names", "names.txt"}) | {
    f"{name}.txt" for name in ("train", "val", "test", "valid", "readme", "README", "requirements")
}


class YoloImage(NamedTuple):
    """An image and its label file.

    Attributes:
        image: The image file.
        splits: The splits that list it.
        label: The path of the label file, which may not exist.
        lines: The lines of the label file; None if it does not exist or cannot be read.
        fault: Why the label file cannot be read.
    """

    image: Path
    splits: tuple[str | None, ...]
    label: Path
    lines: LabelLines | None
    fault: str = ""


def matches_folder(folder: Path) -> bool:
    """Check for a data.yaml, or the first label files; a folder with labelTxt/ is DOTA."""
    if any(path.is_dir() for pattern in ("labelTxt", "*/labelTxt") for path in folder.glob(pattern)):
        return False
    return has_data_yaml(folder) or has_yolo_labels(folder)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a YOLO dataset.

    Raises:
        UserError: data.yaml is unsafe or invalid, or there are no images or no labels.
    """
    data = _read_description(folder)
    splits: dict[Path, tuple[str | None, ...]] = {}
    for split, images in data.splits.items():
        for image in dict.fromkeys(images):
            splits[image] = (*splits.get(image, ()), split)
    found = _match_similar_labels(
        [_read_image_label(image, splits[image], data.root) for image in sort_paths(splits)], data.root
    )
    if not found:
        raise UserError(
            f"no images in {folder}: expected a data.yaml that names them, or images/ and labels/"
        )
    if not any(item.lines or item.fault for item in found):
        raise UserError(
            f"no label files for the images in {folder}: "
            f"expected {format_relative_path(found[0].label, folder)}"
        )
    source = _build_source(data, found)
    unlisted = _find_unlisted_images(found, folder, data.root)
    remarks = (*source.remarks, *_warn_outside_source(found, folder))
    return source._replace(remarks=remarks, defects=(*source.defects, *unlisted))


def _read_description(folder: Path) -> DataYaml:
    file = find_data_yaml(folder)
    if not file:
        return read_yolo_folders(folder)
    data = read_data_yaml(file)
    return data if data.splits else data._replace(splits=read_yolo_folders(data.root).splits)


def _read_image_label(image: Path, splits: tuple[str | None, ...], root: Path) -> YoloImage:
    return _read_label_file(image, splits, find_label_path(image), root)


def _match_similar_labels(found: list[YoloImage], root: Path) -> list[YoloImage]:
    """Match images without a label file to label files whose names differ only in case or accents.

    A name that is not unique is not matched.
    """
    unlabeled = [item for item in found if item.lines is None and not item.fault]
    counts = Counter(_label_key(item) for item in unlabeled)
    used = {item.label for item in found}
    folders = {item.label.parent for item in unlabeled}
    texts = [text for folder in folders for text in list_folder_files(folder, ".txt")]
    unused = {(text.parent, normalize_name(text.stem)): text for text in texts if text not in used}
    matched = {
        item.image: unused[key]
        for item in unlabeled
        if (key := _label_key(item)) in unused and counts[key] == 1
    }
    return [
        _read_label_file(item.image, item.splits, matched[item.image], root)
        if item.image in matched
        else item
        for item in found
    ]


def _label_key(item: YoloImage) -> tuple[Path, str]:
    return item.label.parent, normalize_name(item.image.stem)


def _read_label_file(image: Path, splits: tuple[str | None, ...], label: Path, root: Path) -> YoloImage:
    length = get_file_size(label)
    if length is None:
        return YoloImage(image, splits, label, None)
    if length > _MAX_LABEL_BYTES:
        fault = f"its label file {format_relative_path(label, root)} has more than {_MAX_LABEL_BYTES:,} bytes"
        return YoloImage(image, splits, label, None, fault)
    try:
        return YoloImage(image, splits, label, parse_label_lines(label.read_text(encoding="utf-8-sig")))
    except (UnicodeDecodeError, OSError):
        fault = f"its label file {format_relative_path(label, root)} cannot be read as text"
        return YoloImage(image, splits, label, None, fault)


def _build_source(data: DataYaml, found: list[YoloImage]) -> Source:
    lines = [item.lines for item in found if item.lines]
    layout = infer_label_layout(lines, keypoints=data.keypoints, oriented=data.oriented)
    images = tuple(_build_image(item, layout, data.root) for item in found)
    task, task_remarks = (layout.form, ()) if layout.form != "outlines" else choose_task_by_outlines(images)
    names, name_remarks = (data.names, ()) if data.names else _number_classes(images)
    remarks = (*data.remarks, *layout.remarks, *task_remarks, *name_remarks)
    orphans = tuple(_find_orphan_labels(found, data.root))
    return Source(names, images, orphans, remarks, task, layout.keypoints)


def _number_classes(images: tuple[AnnotatedImage, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    highest = max((int(image.raw.classes.max(initial=-1)) for image in images), default=-1)
    names = tuple(f"class_{index}" for index in range(min(highest + 1, _MAX_UNNAMED_CLASSES)))
    return names, (f"the source names no classes: they are called class_0 to class_{len(names) - 1}",)


def _build_image(found: YoloImage, layout: LabelLayout, root: Path) -> AnnotatedImage:
    split = choose_held_out_split(found.splits)
    notes: tuple[AnnotationNote, ...] = ()
    if len(found.splits) > 1:
        listed = " and ".join(sorted(map(str, found.splits)))
        notes = (AnnotationNote(False, f"listed in {listed}: kept in {split} alone", "listed-twice"),)
    if found.label.name != f"{found.image.stem}.txt":
        notes = (*notes, AnnotationNote(False, f"its label file is called {found.label.name}"))
    raw, line_notes = build_label_objects(found.lines, layout) if found.lines else (_NO_OBJECTS, ())
    if not found.lines and not found.fault:
        line_notes = (
            AnnotationNote(False, "no label file: taken as an image without objects", "missing-label"),
        )
    source = format_relative_path(found.image, root)
    return AnnotatedImage(
        found.image, source, split, raw, normalized=True, notes=(*notes, *line_notes), fault=found.fault
    )


def _warn_outside_source(found: list[YoloImage], folder: Path) -> list[str]:
    """Warn about images outside the source folder: `dvc repro` does not notice changes there."""
    folders = sorted({item.image.parent for item in found})
    outside = [path for path in folders if not path.resolve().is_relative_to(folder.resolve())]
    return [f"images lie outside data.source, in {path}, where changes go unnoticed" for path in outside[:1]]


def _find_unlisted_images(found: list[YoloImage], folder: Path, root: Path) -> list[Finding]:
    """Report the images of the source that are in none of its splits."""
    listed = {item.image for item in found}
    others = [path for path in list_images(folder) if path not in listed]
    if others:  # rare, except for symbolic links
        listed = {path.resolve() for path in listed}
        others = [path for path in others if path.resolve() not in listed]
    reason = "in none of the splits of data.yaml, or of the folders"
    return [
        Finding(format_relative_path(path, root), "quarantined", reason, "unlisted-image") for path in others
    ]


def _find_orphan_labels(found: list[YoloImage], root: Path) -> list[Finding]:
    """Report label files without an image, in the folders that hold labels of images."""
    labels = {item.label for item in found}
    folders = {label.parent for label in labels if label.parent.is_dir()}
    texts = (
        text
        for folder in folders
        for text in list_folder_files(folder, ".txt")
        if text.name not in _NON_LABEL_FILES
    )
    return [
        Finding(
            format_relative_path(text, root), "quarantined", "a label file without an image", "orphan-label"
        )
        for text in sorted(texts)
        if text not in labels
    ]
