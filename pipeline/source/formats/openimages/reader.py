"""Read Open Images: tables of boxes (ImageID, LabelName, XMin, XMax, YMin, YMax) and of class names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.openimages.tables import (
    SUFFIX,
    BoxRow,
    is_box_table,
    is_class_id,
    read_box_rows,
    read_class_descriptions,
)
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import format_relative_path, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import read_heads
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "CSV with ImageID, LabelName, XMin, XMax, YMin, YMax"


class ImageRows(NamedTuple):
    """The boxes of one image in one table.

    Attributes:
        path: The table.
        name: The id of the image.
        used: Boxes that are objects.
        groups: Boxes around groups, which are left out.
        detections: How many boxes of a model are left out.
    """

    path: Path
    name: str
    used: Sequence[BoxRow]
    groups: Sequence[BoxRow]
    detections: int


def matches_folder(folder: Path) -> bool:
    """Look for the columns of Open Images in the first tables."""
    return any(map(is_box_table, read_heads(folder, SUFFIX)))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read tables of Open Images; rows of images that are not in the source are counted, and left out.

    Raises:
        UserError: There is no table of boxes, one cannot be read, or none has a row for an image.
    """
    tables = list_files(folder, SUFFIX)
    images = list_images(folder)
    stems, absent = {path.stem for path in images}, Counter[str]()
    rows = [found for path in tables for found in _read_table(path, stems, absent, options)]
    if not rows and not absent:
        raise UserError(f"no boxes of Open Images in {folder}: expected {RECOGNIZED_BY}")
    if not rows:
        raise UserError(
            f"{format_count(len(absent), 'image')} listed in {folder}, such as {next(iter(absent))}, but "
            "none is there: put the images beside the tables, each with its ImageID as name"
        )
    names = read_class_descriptions(tables)
    entries = [_build_entry(found, names) for found in rows if not _is_detected_only(found)]
    if not entries:
        raise UserError(
            f"the boxes in {folder} have a Confidence below 1, so a model has found them: set "
            "data.predictions=labels to use them as labels"
        )
    remarks = [*_describe_rows(rows, absent, options), *_describe_names(rows, names, folder)]
    return assemble_source(folder, entries, MatchingOptions(ImageIndex(images)), remarks)


def _read_table(path: Path, stems: set[str], absent: Counter[str], options: ReadOptions) -> list[ImageRows]:
    """Group the rows of a table by image; a whole table of millions of rows may serve a few images."""
    by_image: dict[str, list[BoxRow]] = defaultdict(list)
    for row in read_box_rows(path, stems, absent):
        by_image[row.image].append(row)
    return [_select_rows(path, name, rows, options) for name, rows in by_image.items()]


def _select_rows(path: Path, name: str, rows: Sequence[BoxRow], options: ReadOptions) -> ImageRows:
    """Leave out boxes around groups, and those that a model has found."""
    certain = [row for row in rows if options.predictions == "labels" or not row.is_detection]
    groups = [row for row in certain if row.is_group and options.crowds != "objects"]
    single = [row for row in certain if options.crowds == "objects" or not row.is_group]
    return ImageRows(path, name, single, groups, len(rows) - len(certain))


def _is_detected_only(found: ImageRows) -> bool:
    """Check for an image on which only a model has found objects: nobody has labelled it."""
    return found.detections > 0 and not found.used and not found.groups


def _build_entry(found: ImageRows, names: Mapping[str, str]) -> ImageAnnotations:
    rows = [(f"line {row.number}", row) for row in found.used]
    objects, notes = collect_objects(rows, lambda row: _build_object(row, names))
    crowds = (
        AnnotationNote(True, f"line {row.number}: a group, not one object (IsGroupOf)", "crowd")
        for row in found.groups
    )
    return ImageAnnotations(found.path, (found.name,), objects, (*notes, *crowds), normalized=True)


def _build_object(row: BoxRow, names: Mapping[str, str]) -> tuple[str, Shape]:
    x1, x2, y1, y2 = row.sides
    return parse_class_name(names.get(row.label.strip(), row.label)), build_box((x1, y1, x2, y2))


def _describe_rows(rows: Sequence[ImageRows], absent: Counter[str], options: ReadOptions) -> list[str]:
    """Say what is left out, and in how many images."""
    remarks = []
    if groups := sum(len(found.groups) for found in rows):
        images = f"{sum(bool(found.groups) for found in rows)} of {format_count(len(rows), 'image')}"
        boxes = format_count(groups, "box")
        remarks.append(
            f"{boxes} around groups (IsGroupOf) in {images} left out (data.crowds={options.crowds}; objects "
            "keeps them)"
        )
    if detections := sum(found.detections for found in rows):
        boxes = format_count(detections, "box")
        remarks.append(
            f"{boxes} with a Confidence below 1, found by a model: left out (data.predictions decides)"
        )
    if absent:
        images = format_count(len(absent), "image")
        remarks.append(f"{images} listed in the tables, such as {next(iter(absent))}, but not here: left out")
    return remarks


def _describe_names(rows: Sequence[ImageRows], names: Mapping[str, str], folder: Path) -> list[str]:
    used = {row.label.strip() for found in rows for row in found.used}
    unnamed = sorted(label for label in used if is_class_id(label) and label not in names)
    if not unnamed:
        return []
    tables = ", ".join(sorted({format_relative_path(found.path, folder) for found in rows}))
    return [
        f"{tables}: {format_count(len(unnamed), 'class')} without a name, such as {unnamed[0]}: put "
        "class-descriptions-boxable.csv beside it"
    ]
