"""Load CSV files as tables of boxes: find the delimiter, the columns and how boxes are stated."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.csv.columns import (
    SCORE_COLUMN,
    CsvColumns,
    is_class_unclear,
    list_unread_shape_columns,
    recognize_class_columns,
    recognize_columns,
    recognize_headerless_row,
)
from pipeline.source.formats.csv.decimal_commas import TableRow, replace_decimal_commas
from pipeline.source.plausibility.box_meaning import BoxMeaning
from pipeline.source.reading.parsing import UnreadableFileError, format_file_name, load_text
from pipeline.source.reading.shapes import parse_coordinate

DEFAULT_CLASS: Final = "object"
"""The class if no column states it."""

_MAX_FRACTION: Final = 1.5
"""A fraction of the image size that a box beyond the image may still have."""
_NEARLY_ALL: Final = 0.9
_CHECKED_LINES: Final = 5
_FRACTION: Final = re.compile(r"0?\.\d+|[01](?:\.0*)?")
_PREAMBLE: Final = re.compile(r"\A(?:(?:\"?sep=.\"?|#[ \t][^\n]*)\r?\n)+", re.IGNORECASE)
"""What Excel and scripts write before the header."""
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf", re.IGNORECASE)
_NAMED_NUMBER: Final = re.compile(rf"([A-Za-z]\w*)[\"']*\s*[:=]\s*[\"']?({_NUMBER.pattern})", re.IGNORECASE)
_BOX_NAMES: Final = {
    **dict.fromkeys(("x", "left", "xmin", "x_min", "x1"), "x"),
    **dict.fromkeys(("y", "top", "ymin", "y_min", "y1"), "y"),
    **dict.fromkeys(("w", "width"), "width"),
    **dict.fromkeys(("h", "height"), "height"),
    **dict.fromkeys(("right", "xmax", "x_max", "x2"), "right"),
    **dict.fromkeys(("bottom", "ymax", "y_max", "y2"), "bottom"),
}
"""What tools call the numbers of a box in one cell."""

HEADERLESS_NAMES: Final = ("image", "x1", "y1", "x2", "y2", "class", "width", "height")
"""What the columns of a table without a header are called in remarks."""


class CsvTable(NamedTuple):
    """One CSV file.

    Attributes:
        path: The file.
        header: The column names.
        columns: The columns as they are recognized.
        rows: The rows with their line numbers.
        is_latin1: The file is not UTF-8 and was read as Latin-1.
        sizes: Measured width and height of some images, by name.
        has_corners: Boxes are x1 y1 x2 y2, whatever the columns are called.
        normalized: Boxes are fractions of the image size; else pixels.
        unit: What the numbers are multiplied with, such as 0.01 for percent.
    """

    path: Path
    header: Sequence[str]
    columns: CsvColumns
    rows: list[tuple[int, list[str]]]
    is_latin1: bool = False
    sizes: Mapping[str, tuple[int, int]] = {}
    has_corners: bool = False
    normalized: bool = False
    unit: float = 1

    @property
    def meaning(self) -> BoxMeaning:
        """What the four numbers of a box are."""
        if self.has_corners or self.columns.form not in {"extent", "centre", "list"}:
            return "corners"
        return "centre" if self.columns.form == "centre" else "extent"


def load_table(path: Path) -> CsvTable | None:
    """Read one file; None if it is not a table of images.

    Raises:
        UserError: The file cannot be read as a table.
    """
    try:
        text, is_latin1 = load_text(path)
        lines = _split_cells(text)
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]  # type: ignore[attr-defined]
    except (UnreadableFileError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table ({error}): fix or remove it") from None
    if not rows:
        return None
    header = rows[0][1]
    found = recognize_class_columns(header, [row for _, row in rows[1:]]) or recognize_columns(header)
    if found:
        numbers = (*(found.box if found.form != "each" else ()), *(found.size or ()))
        in_columns = numbers if found.form != "list" else found.size or ()
        return CsvTable(path, header, found, replace_decimal_commas(rows[1:], in_columns, path), is_latin1)
    bare = recognize_headerless_row(header, IMAGE_SUFFIXES)
    if bare is None or is_class_unclear(bare, [row for _, row in rows]):
        return None
    rows = replace_decimal_commas(rows, (*bare.box, *(bare.size or ()), *bare.others.values()), path)
    bare = _recognize_scores(bare, rows)
    return CsvTable(path, _name_columns(bare, len(header)), bare, rows, is_latin1)


def _recognize_scores(columns: CsvColumns, rows: Sequence[TableRow]) -> CsvColumns:
    """Take the last column for scores, not for classes, if it holds many numbers between 0 and 1."""
    label = columns.label
    if label is None or columns.others:
        return columns
    cells = [get_cell(row, label).replace(",", ".") for _, row in rows]
    if not all(map(_FRACTION.fullmatch, filter(None, cells))) or {*cells} <= {"0", "1", ""}:
        return columns
    return columns._replace(label=None, others={SCORE_COLUMN: label})


def _name_columns(columns: CsvColumns, count: int) -> tuple[str, ...]:
    names = {number: name for number, name in enumerate(HEADERLESS_NAMES[:count])}
    if columns.image:  # the table of a tool with another order
        names = {number: f"column {number + 1}" for number in range(count)}
    names |= {} if columns.label is None else {columns.label: "class"}
    names |= {number: name for name, number in columns.others.items()}
    return tuple(names.values())


def interpret_boxes(table: CsvTable, policy: str) -> CsvTable:
    """Decide whether boxes are corners, and whether they are fractions of the image size.

    Args:
        table: The table, with measured image sizes.
        policy: As in data.labels; auto: by the names of the columns and by the numbers.
    """
    if policy != "auto":
        corners, shares = policy in {"corners", "pixel_corners"}, policy in {"shares", "corners", "percent"}
        return table._replace(has_corners=corners, normalized=shares, unit=0.01 if policy == "percent" else 1)
    return table._replace(has_corners=_has_corner_boxes(table), normalized=_has_normalized_boxes(table))


def _split_cells(text: str) -> Iterator[list[str]]:
    """Parse CSV with the most frequent delimiter of the first line."""
    text = _PREAMBLE.sub(lambda found: "\n" * found[0].count("\n"), text)  # numbers of lines stay right
    first = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    has_spacing = f"{delimiter} " in first or f'{delimiter} "' in text  # else a blank belongs to a class name
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=has_spacing)


def is_box_table(text: str) -> bool:
    """Check the first lines for a table of boxes, or for one with a column for each class."""
    lines = _split_cells("\n".join(text.splitlines()[:_CHECKED_LINES]))
    try:
        first, *rows = [row for row in lines if row] or [[]]
    except csv.Error:
        return False
    found = recognize_class_columns(first, rows) or recognize_columns(first)
    has_boxes = found is not None and found.form != "none"
    return has_boxes or recognize_headerless_row(first, IMAGE_SUFFIXES) is not None


def describe_tables(tables: Sequence[CsvTable]) -> Iterator[str]:
    """Yield remarks on how the columns are understood, one for all tables with the same remark."""
    file_names: dict[str, list[str]] = {}
    for table in tables:
        for remark in _describe_table(table):
            file_names.setdefault(remark, []).append(format_file_name(table.path))
    for remark, names in file_names.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: {remark}"


def _describe_table(table: CsvTable) -> Iterator[str]:
    columns, header = table.columns, table.header
    if columns.form == "each":
        classes = format_count(len(columns.box), "class")
        yield f"image {header[columns.image]!r}, a column for each of {classes}"
        return
    unused = ", ".join(name for name, column in columns.others.items() if column != columns.split)
    hint = f" (no column is called class; not used: {unused})" if unused else ""
    no_label = f"one class, {DEFAULT_CLASS!r}{hint}"
    label = no_label if columns.label is None else f"class {header[columns.label]!r}"
    names = ", ".join(header[column] for column in columns.box)
    boxes = f"{columns.form} {names}" if columns.box else "no boxes"
    yield f"image {header[columns.image]!r}, {label}, {boxes}"
    if table.is_latin1:
        yield "no UTF-8, read as Latin-1"
    if unread := ", ".join(list_unread_shape_columns(columns)):
        yield f"{unread} left aside: {'boxes' if columns.box else 'classes of whole images'} alone are read"
    if columns.form == "list":
        meaning = "x1 y1 x2 y2" if table.has_corners else "x y width height"
        how = "read by their names" if _are_named(table) else f"taken for {meaning}"
        yield f"the numbers in {header[columns.box[0]]!r} are {how}"


def _are_named(table: CsvTable) -> bool:
    """Check whether the cells of boxes name their numbers."""
    return any(_has_names(get_cell(row, table.columns.box[0])) for _, row in table.rows[:_CHECKED_LINES])


def count_box_values(columns: CsvColumns) -> int:
    """Return how many numbers a box has: eight of a quadrilateral, else four."""
    return 8 if columns.form == "quadrilateral" else 4


def get_box_values(row: list[str], columns: CsvColumns) -> list[str]:
    """Return the numbers of a box as texts, from a column each or from one with any separators."""
    cells = [get_cell(row, column) for column in columns.box]
    if columns.form != "list":
        return cells
    return read_named_box(cells[0]) if _has_names(cells[0]) else _NUMBER.findall(cells[0])


def _has_names(cell: str) -> bool:
    return len(_NAMED_NUMBER.findall(cell)) > 1


def read_named_box(cell: str) -> list[str]:
    """Return x, y, width and height of a box whose numbers have names, such as {"left": 3, "top": 4, ...}.

    They are in any order. Where right and bottom are named, width and height are what is between. Without
    names for all four there are no numbers.
    """
    found = {_BOX_NAMES.get(name.lower()): number for name, number in _NAMED_NUMBER.findall(cell)}
    if {"x", "y", "width", "height"} <= found.keys():
        return [found[name] for name in ("x", "y", "width", "height")]
    if {"x", "y", "right", "bottom"} <= found.keys():
        x, y, right, bottom = (float(found[name]) for name in ("x", "y", "right", "bottom"))
        return [found["x"], found["y"], repr(right - x), repr(bottom - y)]
    return []


def _iterate_boxes(table: CsvTable) -> Iterator[tuple[list[float], tuple[int, int] | None]]:
    """Yield the boxes that are complete, with the image size if it is stated or measured."""
    for _, row in table.rows:
        try:
            numbers = [parse_coordinate(value) for value in get_box_values(row, table.columns)]
        except ValueError:
            continue
        if len(numbers) == count_box_values(table.columns):
            columns = table.columns
            yield numbers, parse_image_size(row, columns) or table.sizes.get(get_cell(row, columns.image))


def _has_corner_boxes(table: CsvTable) -> bool:
    """Check whether boxes in one column are x1 y1 x2 y2, and not x y width height.

    They are if all are ordered corners and some would exceed the image as x y width height.
    """
    if table.columns.form != "list" or _are_named(table):
        return False
    boxes = list(_iterate_boxes(table))
    are_ordered = all(box[2] > box[0] and box[3] > box[1] for box, _ in boxes)
    exceed_image = any(
        size and (box[0] + box[2] > size[0] + 1 or box[1] + box[3] > size[1] + 1) for box, size in boxes
    )
    return are_ordered and exceed_image


def _has_normalized_boxes(table: CsvTable) -> bool:
    """Check whether boxes are fractions of the image size: nearly all numbers are between 0 and 1.

    Some boxes may go a little beyond the image.
    """
    boxes = (box for box, _ in _iterate_boxes(table))
    first = next(boxes, None)
    if first is None or max(map(abs, first)) > _MAX_FRACTION:
        return False
    numbers = np.array([first, *boxes])
    if ((numbers >= 0) & (numbers <= 1)).all():
        return True
    within = ((numbers >= 0) & (numbers <= 1)).all(axis=1).mean() >= _NEARLY_ALL
    return bool(within and (np.abs(numbers) <= _MAX_FRACTION).all() and (numbers % 1 != 0).mean() > 1 / 2)


def parse_image_size(row: list[str], columns: CsvColumns) -> tuple[int, int] | None:
    """Return the width and height in pixels that a row states."""
    try:
        width, height = (int(parse_coordinate(get_cell(row, column))) for column in columns.size or ())
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None


def get_cell(row: list[str], column: int) -> str:
    """Return the text in a column; an empty one if the row is too short."""
    return row[column].strip() if column < len(row) else ""
