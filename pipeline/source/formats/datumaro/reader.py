"""Read Datumaro JSON: a file per subset (annotations/train.json) with categories and items."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.datumaro.shapes import build_annotation_shape, is_left_out
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.plausibility.predictions import check_object_scores, get_score
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.class_lists import check_distinct_names
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, describe_ignored_files, load_json, read_heads
from pipeline.source.reading.shapes import (
    AnnotatedObject,
    Shape,
    build_outline,
    parse_class_name,
    remove_blanks,
)
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON with categories and items of annotations"

_CATEGORIES: Final = re.compile(rb'"categories"\s*:\s*\{')
"""In COCO JSON they are a list."""

Row = Mapping[str, Any]


class DatumaroFile(NamedTuple):
    """One subset: the file, its class names by index, and its items."""

    path: Path
    names: Sequence[str]
    items: Sequence[Any]


class ItemObjects(NamedTuple):
    """The objects of one item, notes on the others, and how many shapes were joined by their group."""

    objects: tuple[AnnotatedObject, ...]
    notes: tuple[AnnotationNote, ...]
    joined: int
    crowds: int


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON files."""
    return any(
        b'"dm_format_version"' in head or _CATEGORIES.search(head) for head in read_heads(folder, ".json")
    )


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a Datumaro dataset.

    Raises:
        UserError: There is no Datumaro file, one cannot be read, or no item has an image.
    """
    paths = list_files(folder, ".json")
    files = [file for path in paths if (file := _read_file(path))]
    if not files:
        raise UserError(f"no Datumaro annotations in {folder}: expected {RECOGNIZED_BY}")
    rows = [(file, item) for file in files for item in file.items if isinstance(item, dict)]
    parsed = [_parse_item(item, file.names, keep_crowds=options.crowds == "objects") for file, item in rows]
    score_remarks = check_object_scores([*_list_scores(rows)], options.predictions, folder)
    entries = [_build_entry(file.path, item, found) for (file, item), found in zip(rows, parsed, strict=True)]
    used = {item.label for found in parsed for item in found.objects}
    declared = dict.fromkeys(remove_blanks(name) for file in files for name in file.names)
    order = tuple(name for name in declared if name in used)
    known = {file.path for file in files}
    ignored = describe_ignored_files([path for path in paths if path not in known], "no items of Datumaro")
    layout = MatchingOptions(ImageIndex(list_images(folder)), class_order=order)
    source = assemble_source(
        folder, entries, layout, [*ignored, *score_remarks, *_describe_items(parsed, options)]
    )
    return read_boxes_as_stated(source, "extent", options.labels)


def _read_file(path: Path) -> DatumaroFile | None:
    """Read one JSON file; return None if it is another kind of JSON."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None
    if not isinstance(data, dict) or not isinstance(data.get("items"), list):
        return None
    names = list(_list_class_names(data.get("categories")))
    check_distinct_names(names, path)
    return DatumaroFile(path, names, data["items"]) if names or "dm_format_version" in data else None


def _list_class_names(categories: Any) -> Iterator[str]:
    """Yield the class names by index; a label without a name is called by its number."""
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = label.get("labels") if isinstance(label, dict) else None
    for number, row in enumerate(labels if isinstance(labels, list) else ()):
        try:
            yield parse_class_name(row.get("name") if isinstance(row, dict) else row)
        except ValueError:
            yield f"class_{number}"


def _parse_item(item: Row, names: Sequence[str], *, keep_crowds: bool) -> ItemObjects:
    annotations = item.get("annotations")
    rows = (
        [(f"annotation {number}", row) for number, row in enumerate(annotations, 1)]
        if isinstance(annotations, list)
        else []
    )
    crowds = [] if keep_crowds else [mark for mark, row in rows if _is_crowd(row)]
    drawn = [(mark, row) for mark, row in rows if mark not in crowds and not is_left_out(row)]
    objects, notes = collect_objects(drawn, lambda row: _parse_annotation(row, names))
    together = _join_groups(objects, {mark: _get_group(row) for mark, row in drawn})
    crowd_notes = (
        AnnotationNote(True, f"{mark}: a crowd, not one object (is_crowd)", "crowd") for mark in crowds
    )
    return ItemObjects(together, (*notes, *crowd_notes), len(objects) - len(together), len(crowds))


def _parse_annotation(row: Any, names: Sequence[str]) -> tuple[str, Shape]:
    if not isinstance(row, dict):
        raise ValueError("no annotation")
    shape, number = build_annotation_shape(row), row.get("label_id")
    if type(number) is not int or not 0 <= number < len(names):
        raise ValueError(f"label_id {str(number)[:40]} is not in the list of labels")
    return names[number], shape


def _list_scores(rows: Sequence[tuple[DatumaroFile, Row]]) -> Iterator[float | None]:
    """Yield the score of each annotation; None if it has none."""
    for _, item in rows:
        annotations = item.get("annotations")
        for row in annotations if isinstance(annotations, list) else ():
            attributes = row.get("attributes") if isinstance(row, dict) else None
            yield get_score(attributes) if isinstance(attributes, dict) else None


def _is_crowd(row: Any) -> bool:
    attributes = row.get("attributes") if isinstance(row, dict) else None
    return isinstance(attributes, dict) and attributes.get("is_crowd") == 1


def _get_group(row: Any) -> int:
    group = row.get("group") if isinstance(row, dict) else None
    return group if type(group) is int else 0


def _join_groups(
    objects: Sequence[AnnotatedObject], groups: Mapping[str, int]
) -> tuple[AnnotatedObject, ...]:
    """Join the shapes of one class in one group: Datumaro writes the parts of an object so, and its box."""
    members: dict[object, list[AnnotatedObject]] = defaultdict(list)
    for item in objects:
        group = groups[item.mark]
        members[(group, item.label) if group else item.mark].append(item)
    return tuple(item for found in members.values() for item in _join_shapes(found))


def _join_shapes(members: Sequence[AnnotatedObject]) -> Sequence[AnnotatedObject]:
    """Join outlines to one, and leave out the only box around them; shapes without outlines stay."""
    outlines = [item for item in members if item.shape.kind == "outline"]
    boxes = [item for item in members if item.shape.kind == "box"]
    if not outlines or len(members) == 1 or len(boxes) > 1 or len(outlines) + len(boxes) < len(members):
        return members
    parts = [part for item in outlines for part in item.shape.parts]
    joined = build_outline(*parts, holes=sum(item.shape.holes for item in outlines))
    stated = tuple(boxes[0].shape.box.tolist()) if boxes else ()
    return [outlines[0]._replace(shape=joined._replace(stated_box=stated))]


def _build_entry(path: Path, item: Row, found: ItemObjects) -> ImageAnnotations:
    media: Row = next((item[key] for key in ("image", "media") if isinstance(item.get(key), dict)), {})
    stated = (media.get("path"), item.get("id"))
    names = tuple(name for name in stated if isinstance(name, str) and name)
    return ImageAnnotations(path, names or ("",), found.objects, found.notes, size=_get_size(media))


def _get_size(media: Row) -> tuple[int, int] | None:
    """Return width and height; Datumaro states the height first."""
    size = media.get("size")
    if (
        not isinstance(size, list)
        or len(size) != 2
        or not all(type(side) is int and side > 0 for side in size)
    ):
        return None
    return size[1], size[0]


def _describe_items(parsed: Sequence[ItemObjects], options: ReadOptions) -> list[str]:
    remarks, joined, crowds = [], sum(found.joined for found in parsed), sum(found.crowds for found in parsed)
    if joined:
        shapes = format_count(joined, "shape")
        remarks.append(f"{shapes} joined with others of the same group and class: parts of one object")
    if crowds:
        images = sum(found.crowds > 0 for found in parsed)
        counted = format_count(crowds, "crowd")
        remarks.append(
            f"{counted} in {images} of {format_count(len(parsed), 'image')} left out "
            f"(data.crowds={options.crowds}; objects keeps them)"
        )
    return remarks
