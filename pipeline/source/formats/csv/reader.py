"""Tables of boxes: a row per object with the image's name, the class and the box; or a class per image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.csv import image_sizes
from pipeline.source.formats.csv import tables as csv_tables
from pipeline.source.formats.csv.columns import CsvColumns
from pipeline.source.formats.csv.tables import ONLY, CsvTable, as_corners, cell, in_shares
from pipeline.source.reading import shapes
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import files, heads, left_aside, own_name
from pipeline.source.reading.shapes import TAG, Shape
from pipeline.source.types import Source, split_of

LOOKED_FOR: Final = "CSV with columns for image, class and box"

_SUFFIXES: Final = (".csv", ".tsv")


def recognises(folder: Path) -> bool:
    """Look for a header that names images and boxes, in the first files."""
    return any(
        csv_tables.recognises(head.decode("utf-8-sig", "replace"))
        for suffix in _SUFFIXES
        for head in heads(folder, suffix)
    )


def read(folder: Path) -> Source:
    """Read tables of boxes.

    Raises:
        Refused: There are none, one cannot be read, or no image has a row.
    """
    loaded = {path: csv_tables.load(path) for path in files(folder, *_SUFFIXES)}
    images = images_in(folder)
    tables = [image_sizes.measured(table, images) for table in loaded.values() if table]
    if not tables:
        raise UserError(
            f"no table in {folder}: expected {LOOKED_FOR}, such as filename,class,xmin,ymin,xmax,ymax"
        )
    entries = [entry for table in tables for entry in _entries(table)]
    others = [path for path, table in loaded.items() if not table]
    remarks = [*csv_tables.told(tables), *left_aside(others, "no table of images")]
    return gather(folder, entries, MatchingOptions(ImageIndex(images)), remarks)


def _entries(table: CsvTable) -> Iterator[ImageAnnotations]:
    """Put the rows of each image together; a row without box and class says that nothing is on it."""
    known = table.columns
    by_image: dict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for number, row in table.rows:
        by_image[cell(row, known.image) or f"{own_name(table.path)}, line {number}"].append((number, row))
    corners, scaled = as_corners(table), in_shares(table)
    for name, rows in by_image.items():
        first = rows[0][1]
        filled = [
            (f"line {number}", row) for number, row in rows if any(cell(row, p) for p in _objective(known))
        ]
        found, notes = collect(filled, lambda row: _draw(row, table, corners=corners))
        yield ImageAnnotations(
            table.path,
            (name,),
            found,
            notes,
            size=csv_tables.stated(first, known),
            split=None if known.split is None else split_of(cell(first, known.split)),
            fault=_fault([row for _, row in rows], known),
            scaled=scaled,
            columns=_alike([row for _, row in rows], known),
        )


def _fault(rows: Sequence[list[str]], known: CsvColumns) -> str:
    """Say why the rows of one image cannot be used: they name none, or contradict one another."""
    if not cell(rows[0], known.image):
        return "no image is named"
    sizes = {size for row in rows if (size := csv_tables.stated(row, known))}
    return f"annotated at sizes that differ: {sorted(sizes)}" if len(sizes) > 1 else ""


def _draw(row: list[str], table: CsvTable, *, corners: bool) -> tuple[str, Shape]:
    known = table.columns
    if any(text.strip() for text in row[len(table.header) :]):
        raise ValueError(
            f"{format_count(len(row), 'value')} under {format_count(len(table.header), 'column')}"
        )
    if known.form == "each":
        return _ticked(row, table), TAG
    label = ONLY if known.label is None else shapes.named(cell(row, known.label))
    if known.form == "none":
        return label, TAG
    found = csv_tables.values(row, known)
    if len(found) != 4:
        raise ValueError(f"{format_count(len(found), 'number')}, not the four of a box")
    a, b, c, d = map(shapes.number, found)
    if known.form == "corners" or corners:
        return label, shapes.box((a, b, c, d))
    if known.form == "centre":
        return label, shapes.box((a - c / 2, b - d / 2, a + c / 2, b + d / 2))
    return label, shapes.box((a, b, a + c, b + d))


def _ticked(row: list[str], table: CsvTable) -> str:
    names = [table.header[place].strip() for place in table.columns.box if cell(row, place) == "1"]
    if len(names) != 1:
        raise ValueError(f"{len(names)} classes, but an image has one")
    return names[0]


def _objective(known: CsvColumns) -> tuple[int, ...]:
    """Return the columns that say that something is on an image."""
    return (*known.box, *(() if known.label is None else (known.label,)))


def _alike(rows: Sequence[list[str]], known: CsvColumns) -> dict[str, str]:
    """Return the further columns in which all rows of an image say the same."""
    found = {name: {cell(row, place) for row in rows} for name, place in known.others.items()}
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}
