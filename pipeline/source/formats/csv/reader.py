"""Read CSV tables: a row per object with image name, class and box; or a class per image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.csv.class_numbers import (
    blank_absent_classes,
    drop_class_tables,
    name_class_numbers,
)
from pipeline.source.formats.csv.column_doubts import check_box_columns
from pipeline.source.formats.csv.columns import CsvColumns
from pipeline.source.formats.csv.image_sizes import add_image_sizes
from pipeline.source.formats.csv.predictions import drop_predictions
from pipeline.source.formats.csv.tables import (
    DEFAULT_CLASS,
    CsvTable,
    count_box_values,
    describe_tables,
    get_box_values,
    get_cell,
    interpret_boxes,
    is_box_table,
    load_table,
    parse_image_size,
)
from pipeline.source.plausibility.box_meaning import refuse_misread_boxes
from pipeline.source.plausibility.versions import find_copies
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import describe_ignored_files, format_file_name, read_heads
from pipeline.source.reading.shapes import (
    TAG,
    Shape,
    build_box,
    build_rotated_box,
    parse_class_name,
    parse_coordinate,
)
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    ReadOptions,
    Source,
    choose_held_out_split,
    find_split_in_name,
)

RECOGNIZED_BY: Final = "CSV with columns for image, class and box"

_SUFFIXES: Final = (".csv", ".tsv")


def matches_folder(folder: Path) -> bool:
    """Look for columns of images and boxes in the first files."""
    return any(
        is_box_table(head.decode("utf-8-sig", "replace"))
        for suffix in _SUFFIXES
        for head in read_heads(folder, suffix)
    )


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read tables of boxes or classes.

    Raises:
        UserError: There is no table, one cannot be read or states rotations, or no image has a row.
    """
    loaded = {path: load_table(path) for path in list_files(folder, *_SUFFIXES)}
    images = list_images(folder)
    found = [table for table in loaded.values() if table]
    if not found:
        raise UserError(
            f"no table in {folder}: expected {RECOGNIZED_BY}, such as filename,class,xmin,ymin,xmax,ymax"
        )
    labels, prediction_remarks = drop_predictions(found, folder, options.predictions)
    several = labels if len(labels) > 1 else []
    copies = find_copies({table.path: {*(tuple(row) for _, row in table.rows)} for table in several})
    labels = [table for table in labels if table.path not in copies]
    tables = [interpret_boxes(add_image_sizes(table, images), options.labels) for table in labels]
    tables, class_remarks = drop_class_tables(tables)
    doubt_remarks = [remark for table in tables for remark in check_box_columns(table, options.labels)]
    blanked = [blank_absent_classes(table) for table in tables]
    tables = [table for table, _ in blanked]
    class_remarks += [remark for _, remarks in blanked for remark in remarks]
    entries = [entry for table in tables for entry in _iterate_images(table)]
    entries, name_remarks = name_class_numbers(entries, folder, options)
    others = [path for path, table in loaded.items() if not table]
    ignored = describe_ignored_files(others, "no table of images")
    repeated = describe_ignored_files(copies, "a copy of another table")
    remarks = [
        *describe_tables(tables),
        *doubt_remarks,
        *ignored,
        *repeated,
        *prediction_remarks,
        *class_remarks,
        *name_remarks,
    ]
    source = assemble_source(folder, entries, MatchingOptions(ImageIndex(images)), remarks)
    meanings = {table.meaning for table in tables}
    meaning = next(iter(meanings)) if len(meanings) == 1 else "corners"
    return refuse_misread_boxes(source, meaning, options.labels)


def _iterate_images(table: CsvTable) -> Iterator[ImageAnnotations]:
    """Group the rows by image; a row without box and class means that the image has no objects."""
    columns = table.columns
    by_image: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for number, row in table.rows:
        by_image[get_cell(row, columns.image) or f"{format_file_name(table.path)}, line {number}"].append(
            (number, row)
        )
    for name, rows in by_image.items():
        first = rows[0][1]
        filled = [
            (f"line {number}", row)
            for number, row in rows
            if any(get_cell(row, column) for column in _object_columns(columns))
        ]
        objects, notes = collect_objects(filled, lambda row: _parse_row(row, table))
        split, split_notes = _choose_split([row for _, row in rows], columns)
        yield ImageAnnotations(
            table.path,
            (name,),
            objects,
            (*split_notes, *notes),
            size=parse_image_size(first, columns),
            split=split,
            fault=_find_fault([row for _, row in rows], columns),
            normalized=table.normalized,
            columns=_shared_columns([row for _, row in rows], columns),
        )


def _choose_split(rows: Sequence[list[str]], columns: CsvColumns) -> tuple[str | None, list[AnnotationNote]]:
    """Choose the split of an image from all its rows; tell if they name several."""
    if columns.split is None:
        return None, []
    named = {split for row in rows if (split := find_split_in_name(get_cell(row, columns.split)))}
    split, listed = choose_held_out_split(named), " and ".join(sorted(named))
    reason = f"listed in {listed}: kept in {split} alone"
    return split, [AnnotationNote(False, reason, "listed-twice")] if len(named) > 1 else []


def _find_fault(rows: Sequence[list[str]], columns: CsvColumns) -> str:
    """Return why the rows of one image cannot be used: no name, or different image sizes; else nothing."""
    if not get_cell(rows[0], columns.image):
        return "no image is named"
    sizes = {size for row in rows if (size := parse_image_size(row, columns))}
    return f"annotated at sizes that differ: {sorted(sizes)}" if len(sizes) > 1 else ""


def _parse_row(row: list[str], table: CsvTable) -> tuple[str, Shape]:
    columns = table.columns
    if any(text.strip() for text in row[len(table.header) :]):
        raise ValueError(
            f"{format_count(len(row), 'value')} under {format_count(len(table.header), 'column')}"
        )
    if columns.form == "each":
        return _parse_ticked_class(row, table), TAG
    column = columns.label
    label = DEFAULT_CLASS if column is None else parse_class_name(row[column] if column < len(row) else "")
    if columns.form == "none":
        return label, TAG
    values = get_box_values(row, columns)
    if len(values) != count_box_values(columns):
        raise ValueError(f"{format_count(len(values), 'number')}, not the four of a box")
    numbers = [parse_coordinate(value) * table.unit for value in values]
    if columns.form == "quadrilateral":
        return label, build_rotated_box(np.array(numbers).reshape(4, 2))
    a, b, c, d = numbers
    if table.meaning == "corners":
        return label, build_box((a, b, c, d))
    if table.meaning == "centre":
        return label, build_box((a - c / 2, b - d / 2, a + c / 2, b + d / 2))
    return label, build_box((a, b, a + c, b + d))


def _parse_ticked_class(row: list[str], table: CsvTable) -> str:
    names = [table.header[column] for column in table.columns.box if get_cell(row, column) == "1"]
    if len(names) != 1:
        raise ValueError(f"{len(names)} classes, but an image has one")
    return names[0]


def _object_columns(columns: CsvColumns) -> tuple[int, ...]:
    """Return the columns that describe an object."""
    return (*columns.box, *(() if columns.label is None else (columns.label,)))


def _shared_columns(rows: Sequence[list[str]], columns: CsvColumns) -> dict[str, str]:
    """Return the further columns in which all rows of an image have the same value."""
    values_of = {name: {get_cell(row, column) for row in rows} for name, column in columns.others.items()}
    return {name: next(iter(values)) for name, values in values_of.items() if len(values) == 1}
