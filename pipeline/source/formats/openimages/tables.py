"""Read the CSV tables of Open Images: boxes and class descriptions."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.source.reading.file_tree import read_head

SUFFIX: Final = ".csv"

_SIDES: Final = ("XMin", "XMax", "YMin", "YMax")
_REQUIRED: Final = {"ImageID", "LabelName", *_SIDES}
_CLASS_ID_STARTS: Final = ("/m/", "/g/", "/t/")
_MAX_NAME_ROWS: Final = 100_000
_CHECKED_ROWS: Final = 100


class BoxRow(NamedTuple):
    """One row of a table of boxes.

    Attributes:
        number: The line number.
        image: The id of the image: its file name without suffix.
        label: The id of the class, such as /m/01g317.
        sides: XMin, XMax, YMin, YMax as texts: fractions of the image size.
        is_group: The box is around more than five objects that touch each other.
        is_detection: Its confidence is below 1: a model has found it.
    """

    number: int
    image: str
    label: str
    sides: Sequence[str]
    is_group: bool
    is_detection: bool


def read_header(head: bytes) -> list[str]:
    """Return the column names of a table from its first bytes."""
    first = head.decode("utf-8-sig", "replace").partition("\n")[0]
    try:
        return [name.strip() for name in next(csv.reader([first]), [])]
    except csv.Error:
        return []


def is_box_table(head: bytes) -> bool:
    """Check the first bytes of a table for the columns of Open Images, and for what other tables lack.

    Other tables may copy the columns of the boxes, but have neither IsGroupOf nor class ids like /m/01g317.
    """
    header = read_header(head)
    if not set(header) >= _REQUIRED:
        return False
    rows = head.decode("utf-8-sig", "replace").splitlines()[1:_CHECKED_ROWS]
    column = header.index("LabelName")
    labels = [cells[column].strip() for row in rows if len(cells := row.split(",")) > column]
    return "IsGroupOf" in header or any(map(is_class_id, labels))


def is_class_id(label: str) -> bool:
    """Check for an id of the Knowledge Graph, which needs a table of names."""
    return label.startswith(_CLASS_ID_STARTS)


def read_box_rows(path: Path, images: Container[str], absent: Counter[str]) -> Iterator[BoxRow]:
    """Yield the rows of a table of boxes; nothing if it is another table.

    Args:
        path: The table.
        images: Ids of the images of the source; the rows of others are skipped.
        absent: Counts the skipped rows by image. A table may have 14 million of them.

    Raises:
        UserError: The file cannot be read as a table.
    """
    head = read_head(path)
    if not is_box_table(head):
        return
    header = read_header(head)
    image, label, group, confidence = (
        header.index(name) if name in header else len(header)
        for name in ("ImageID", "LabelName", "IsGroupOf", "Confidence")
    )
    sides = [header.index(name) for name in _SIDES]
    blank = [""] * (len(header) + 1)
    for number, cells in _iterate_rows(path):
        row = cells if len(cells) > len(header) else cells + blank[len(cells) :]
        name = row[image].strip()
        if name not in images:
            absent[name] += 1
            continue
        yield BoxRow(
            number,
            name,
            row[label],
            [row[side] for side in sides],
            row[group].strip() == "1",
            _is_below_one(row[confidence]),
        )


def read_class_descriptions(tables: Sequence[Path]) -> dict[str, str]:
    """Return class names by id, of tables with two columns: `/m/01g317,Person`."""
    names: dict[str, str] = {}
    for path in tables:
        if len(read_header(read_head(path))) == 2:
            for number, row in _iterate_rows(path, first=1):
                if number <= _MAX_NAME_ROWS and len(row) == 2 and is_class_id(row[0]):
                    names[row[0].strip()] = row[1]
    return {key: name for key, name in names.items() if name.strip()}


def _iterate_rows(path: Path, *, first: int = 2) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty with their line numbers."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.reader(file)
            for row in rows:
                if row and rows.line_num >= first:
                    yield rows.line_num, row
    except (OSError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table ({error}): fix or remove it") from None


def _is_below_one(text: str) -> bool:
    try:
        return 0 <= float(text) < 1
    except ValueError:
        return False
