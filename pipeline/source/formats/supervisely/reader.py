"""Read Supervisely projects: meta.json with the classes, and per dataset img/NAME and ann/NAME.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.supervisely.shapes import build_object_shape
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_ignored_files,
    describe_unusable_annotation,
    load_json,
    read_heads,
)
from pipeline.source.reading.shapes import TAG, Shape, parse_class_name, remove_blanks
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    ReadOptions,
    Source,
    choose_held_out_split,
    find_split_in_name,
)

RECOGNIZED_BY: Final = "JSON with size and objects of classTitle and points, a file per image, and meta.json"

_IMAGE_KEYS: Final = (b'"objects"', b'"size"', b'"tags"')
_META_FILE: Final = "meta.json"

_SPLIT_TAGS: Final = frozenset({"split", "subset", "set", "partition", "usage"})

Row = Mapping[str, Any]


class ImageTag(NamedTuple):
    """A tag of an image: its name, and its value; empty if it has none or one that is no text."""

    name: str
    value: str


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON files."""
    heads = read_heads(folder, ".json")
    return any(b'"classTitle"' in head or all(key in head for key in _IMAGE_KEYS) for head in heads)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a Supervisely project, or one of its datasets.

    Raises:
        UserError: There is no annotation file, or none has an image.
    """
    files = [path for path in list_files(folder, ".json") if path.name.lower() != _META_FILE]
    valued: Counter[str] = Counter()
    read_files = {path: _read_file(path, valued) for path in files}
    entries = [entry for entry in read_files.values() if entry]
    if not any(not entry.fault for entry in entries):
        raise UserError(f"no Supervisely annotations in {folder}: expected {RECOGNIZED_BY}")
    others = [path for path, entry in read_files.items() if not entry]
    remarks = describe_ignored_files(others, "no annotation of Supervisely")
    if valued and not any(item.shape.kind != "tag" for entry in entries for item in entry.objects):
        remarks.append(f"classes are the values of the tags {', '.join(sorted(valued))}")
    images = [
        path for path in list_images(folder) if path.parent.name not in {"masks_machine", "masks_human"}
    ]
    layout = MatchingOptions(
        ImageIndex(images), one_file_per_image=True, class_order=_order_classes(folder, entries)
    )
    source = assemble_source(folder, entries, layout, remarks)
    return read_boxes_as_stated(source, "corners", options.labels)


def _order_classes(folder: Path, entries: list[ImageAnnotations]) -> tuple[str, ...]:
    """Return the classes that objects have, in the order of meta.json, which is above the datasets."""
    used = {item.label for entry in entries for item in entry.objects}
    declared: dict[str, None] = {}
    for path in list_files(folder, _META_FILE):
        try:
            data = load_json(path)
        except UnreadableFileError:
            continue
        classes = data.get("classes") if isinstance(data, dict) else None
        for row in classes if isinstance(classes, list) else ():
            title = row.get("title") if isinstance(row, dict) else None
            declared |= {remove_blanks(title): None} if isinstance(title, str) else {}
    return tuple(name for name in declared if name in used)


def _read_file(path: Path, valued: Counter[str]) -> ImageAnnotations | None:
    """Read one JSON file, and count the tags with a value; return None if it is another kind of JSON."""
    names = (f"img/{path.stem}", path.stem)  # the stem of a.jpg.json is a.jpg
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, names, fault=describe_unusable_annotation(path, error))
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list) or "size" not in data:
        return None
    rows = [(f"object {number}", row) for number, row in enumerate(data["objects"], 1)]
    objects, notes = collect_objects(rows, _parse_object)
    tags = [(f"tag {number}", tag) for number, tag in enumerate(_list_tags(data), 1)]
    splits = {split for _, tag in tags if (split := _get_split(tag))}
    marked = [(mark, tag) for mark, tag in tags if not _get_split(tag)]
    valued.update(tag.name for _, tag in marked if tag.value)
    labels, tag_notes = collect_objects(marked, lambda tag: (_name_class(tag), TAG))
    split = choose_held_out_split(splits)
    if len(splits) > 1:
        reason = f"listed in {' and '.join(sorted(splits))}: kept in {split} alone"
        tag_notes = (*tag_notes, AnnotationNote(False, reason, "listed-twice"))
    return ImageAnnotations(
        path, names, (*objects, *labels), (*notes, *tag_notes), size=_get_size(data["size"]), split=split
    )


def _parse_object(row: Any) -> tuple[str, Shape]:
    if not isinstance(row, dict):
        raise ValueError("no object")
    return parse_class_name(row.get("classTitle")), build_object_shape(row)


def _list_tags(data: Row) -> Iterator[ImageTag]:
    """Yield the tags of an image; old versions write the names alone."""
    tags = data.get("tags")
    for tag in tags if isinstance(tags, list) else ():
        name, value = (tag.get("name"), tag.get("value")) if isinstance(tag, dict) else (tag, None)
        if isinstance(name, str):
            yield ImageTag(name, value.strip() if isinstance(value, str) else "")


def _get_split(tag: ImageTag) -> str | None:
    """Return the split that a tag names, such as train or split: train: Supervisely marks splits so."""
    word = tag.value if tag.name.strip().lower() in _SPLIT_TAGS else tag.name
    return find_split_in_name(word) if word.strip().isalpha() else None


def _name_class(tag: ImageTag) -> str:
    """Return the class that a tag gives to its image: its value, as in species: cat, or else its name.

    Raises:
        ValueError: It has no name, or it is for a split and its value is none.
    """
    if tag.value and tag.name.strip().lower() in _SPLIT_TAGS:
        raise ValueError(f"{tag.name}: {tag.value[:40]!r} is none of train, val and test")
    return parse_class_name(tag.value or tag.name)


def _get_size(stated: Any) -> tuple[int, int] | None:
    sides = (stated.get("width"), stated.get("height")) if isinstance(stated, dict) else (None, None)
    width, height = sides
    return (width, height) if type(width) is type(height) is int and min(width, height) > 0 else None
