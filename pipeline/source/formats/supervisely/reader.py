"""Read Supervisely projects: meta.json with the classes, and per dataset img/NAME and ann/NAME.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.supervisely.shapes import build_object_shape
from pipeline.source.formats.supervisely.tags import (
    ImageTag,
    TagMeanings,
    describe_unknown_splits,
    get_split,
    interpret_tags,
    is_class_tag,
    list_tags,
)
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
)

RECOGNIZED_BY: Final = "JSON with size and objects of classTitle and points, a file per image, and meta.json"

_IMAGE_KEYS: Final = (b'"objects"', b'"size"', b'"tags"')
_META_FILE: Final = "meta.json"

Row = Mapping[str, Any]


class SuperviselyFile(NamedTuple):
    """One annotation file: its objects, and the tags of its image."""

    entry: ImageAnnotations
    tags: tuple[ImageTag, ...] = ()


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
    read_files = {path: _read_file(path) for path in files}
    found = [file for file in read_files.values() if file]
    if not any(not file.entry.fault for file in found):
        raise UserError(f"no Supervisely annotations in {folder}: expected {RECOGNIZED_BY}")
    others = [path for path, file in read_files.items() if not file]
    remarks = describe_ignored_files(others, "no annotation of Supervisely")
    metas = _read_metas(folder)
    meanings = interpret_tags((tag for file in found for tag in file.tags), metas)
    entries = [_add_tags(file, meanings) for file in found]
    if not any(item.shape.kind != "tag" for entry in entries for item in entry.objects):
        remarks += meanings.remarks
    remarks += describe_unknown_splits(tag for file in found for tag in file.tags)
    images = [
        path for path in list_images(folder) if path.parent.name not in {"masks_machine", "masks_human"}
    ]
    layout = MatchingOptions(
        ImageIndex(images), one_file_per_image=True, class_order=_order_classes(metas, entries)
    )
    source = assemble_source(folder, entries, layout, remarks)
    return read_boxes_as_stated(source, "corners", options.labels)


def _read_metas(folder: Path) -> list[Row]:
    """Read the meta.json of each project, which is above its datasets; without those that are none."""
    found: list[Row] = []
    for path in list_files(folder, _META_FILE):
        try:
            data = load_json(path)
        except UnreadableFileError:
            continue
        found += [data] if isinstance(data, dict) else []
    return found


def _order_classes(metas: Sequence[Row], entries: Sequence[ImageAnnotations]) -> tuple[str, ...]:
    """Return the classes that objects have, in the order of meta.json."""
    used = {item.label for entry in entries for item in entry.objects}
    declared: dict[str, None] = {}
    for meta in metas:
        classes = meta.get("classes")
        for row in classes if isinstance(classes, list) else ():
            title = row.get("title") if isinstance(row, dict) else None
            declared |= {remove_blanks(title): None} if isinstance(title, str) else {}
    return tuple(name for name in declared if name in used)


def _read_file(path: Path) -> SuperviselyFile | None:
    """Read one JSON file; return None if it is another kind of JSON."""
    names = (f"img/{path.stem}", path.stem)  # the stem of a.jpg.json is a.jpg
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        fault = describe_unusable_annotation(path, error)
        return SuperviselyFile(ImageAnnotations(path, names, fault=fault))
    if not isinstance(data, dict) or not isinstance(data.get("objects"), list) or "size" not in data:
        return None
    rows = [(f"object {number}", row) for number, row in enumerate(data["objects"], 1)]
    objects, notes = collect_objects(rows, _parse_object)
    entry = ImageAnnotations(path, names, objects, notes, size=_get_size(data["size"]))
    return SuperviselyFile(entry, list_tags(data))


def _add_tags(file: SuperviselyFile, meanings: TagMeanings) -> ImageAnnotations:
    """Return the annotations of an image with the classes and the split that its tags give."""
    rows = [(f"tag {number}", tag) for number, tag in enumerate(file.tags, 1) if is_class_tag(tag)]
    labels, notes = collect_objects(rows, lambda tag: (parse_class_name(meanings.name_class(tag)), TAG))
    splits = {split for tag in file.tags if (split := get_split(tag))}
    split = choose_held_out_split(splits)
    if len(splits) > 1:
        reason = f"listed in {' and '.join(sorted(splits))}: kept in {split} alone"
        notes = (*notes, AnnotationNote(False, reason, "listed-twice"))
    objects, object_notes = file.entry.objects, file.entry.notes
    return file.entry._replace(objects=(*objects, *labels), notes=(*object_notes, *notes), split=split)


def _parse_object(row: Any) -> tuple[str, Shape]:
    if not isinstance(row, dict):
        raise ValueError("no object")
    return parse_class_name(row.get("classTitle")), build_object_shape(row)


def _get_size(stated: Any) -> tuple[int, int] | None:
    sides = (stated.get("width"), stated.get("height")) if isinstance(stated, dict) else (None, None)
    width, height = sides
    return (width, height) if type(width) is type(height) is int and min(width, height) > 0 else None
