"""CSV files as tables of boxes: the delimiter, the columns, and what the numbers of a box are."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.csv import columns as core_columns
from pipeline.source.formats.csv.columns import CsvColumns, by_class, without_header
from pipeline.source.reading import shapes
from pipeline.source.reading.file_tree import SUFFIXES
from pipeline.source.reading.parsing import UnreadableFileError, load_text, own_name

ONLY: Final = "object"
"""The class where no column names any."""

_FEW: Final = 5
_NUMBERS: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf", re.IGNORECASE)


class CsvTable(NamedTuple):
    """One file.

    Attributes:
        path: Of the file.
        header: The columns as they are named.
        columns: As they are recognised.
        rows: With their line numbers.
        foreign: It is no UTF-8, and was read as Latin-1.
        sizes: Real widths and heights of some of its images.
    """

    path: Path
    header: Sequence[str]
    columns: CsvColumns
    rows: list[tuple[int, list[str]]]
    foreign: bool = False
    sizes: Mapping[str, tuple[int, int]] = {}


def load(path: Path) -> CsvTable | None:
    """Read one file; None where it is another kind of table."""
    try:
        text, foreign = load_text(path)
        lines = _lines(text)
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]  # type: ignore[attr-defined]
    except (UnreadableFileError, csv.Error) as error:
        raise UserError(f"{path} is no table that can be read ({error}): mend it or remove it") from None
    if not rows:
        return None
    header = rows[0][1]
    found = by_class(header, [row for _, row in rows[1:]]) or core_columns.recognise(header)
    if found:
        return CsvTable(path, header, found, rows[1:], foreign)
    bare = without_header(header, SUFFIXES)
    return CsvTable(path, ("image", "x1", "y1", "x2", "y2", "class"), bare, rows, foreign) if bare else None


def _lines(text: str) -> Iterator[list[str]]:
    """Split the text at the delimiter that its first line holds most of."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def recognises(text: str) -> bool:
    """Tell a table of boxes by its first lines, or one with a column for each class."""
    lines = _lines("\n".join(text.splitlines()[:_FEW]))
    try:
        first, *rows = [row for row in lines if row] or [[]]
    except csv.Error:
        return False
    found = by_class(first, rows) or core_columns.recognise(first)
    boxed = found is not None and found.form != "none"
    return boxed or without_header(first, SUFFIXES) is not None


def told(tables: Sequence[CsvTable]) -> Iterator[str]:
    """Say how the columns are understood, once for all tables that are alike."""
    alike: dict[str, list[str]] = {}
    for table in tables:
        for remark in _told(table):
            alike.setdefault(remark, []).append(own_name(table.path))
    for remark, names in alike.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{names[0]}{more}: {remark}"


def _told(table: CsvTable) -> Iterator[str]:
    known, header = table.columns, table.header
    if known.form == "each":
        yield f"image {header[known.image]!r}, a column for each of {format_count(len(known.box), 'class')}"
        return
    label = f"class {header[known.label]!r}" if known.label is not None else f"one class, {ONLY!r}"
    boxes = f"{known.form} {', '.join(header[place] for place in known.box)}" if known.box else "no boxes"
    yield f"image {header[known.image]!r}, {label}, {boxes}"
    if table.foreign:
        yield "no UTF-8, read as Latin-1"
    if known.form == "list":
        as_what = "x1 y1 x2 y2" if as_corners(table) else "x y width height"
        yield f"the numbers in {header[known.box[0]]!r} are taken for {as_what}"


def values(row: list[str], known: CsvColumns) -> list[str]:
    """Return the numbers of a box as texts: four columns, or all in one, however they are set apart."""
    cells = [cell(row, place) for place in known.box]
    return _NUMBERS.findall(cells[0]) if known.form == "list" else cells


def _plausible(table: CsvTable) -> Iterator[tuple[list[float], tuple[int, int] | None]]:
    """Yield the boxes that are four numbers, with the image's size where stated or measured."""
    for _, row in table.rows:
        try:
            numbers = [shapes.number(value) for value in values(row, table.columns)]
        except ValueError:
            continue
        if len(numbers) == 4:
            known = table.columns
            yield numbers, stated(row, known) or table.sizes.get(cell(row, known.image))


def as_corners(table: CsvTable) -> bool:
    """Tell whether boxes in one column are two corners: always in order, and as an extent too large."""
    if table.columns.form != "list":
        return False
    found = list(_plausible(table))
    ordered = all(box[2] > box[0] and box[3] > box[1] for box, _ in found)
    beyond = any(
        size and (box[0] + box[2] > size[0] + 1 or box[1] + box[3] > size[1] + 1) for box, size in found
    )
    return ordered and beyond


def in_shares(table: CsvTable) -> bool:
    """Tell whether boxes are shares of the image: no pixel coordinates are all between 0 and 1."""
    boxes = (box for box, _ in _plausible(table))
    first = next(boxes, None)
    return first is not None and all(0 <= value <= 1 for box in chain([first], boxes) for value in box)


def stated(row: list[str], known: CsvColumns) -> tuple[int, int] | None:
    """Return the width and height that a row states."""
    try:
        width, height = (int(shapes.number(cell(row, place))) for place in known.size or ())
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None


def cell(row: list[str], place: int) -> str:
    """Return the text in a column; none where the row is too short."""
    return row[place].strip() if place < len(row) else ""
