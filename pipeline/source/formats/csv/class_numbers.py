"""Keep tables of classes apart from tables of boxes, and name classes that are given by numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.csv.tables import CsvTable, get_cell
from pipeline.source.reading.class_lists import (
    CLASS_LIST_FILES,
    check_distinct_names,
    check_named_numbers,
    count_from_first,
    find_class_names,
)
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import format_relative_path, list_files
from pipeline.source.reading.shapes import build_object
from pipeline.source.types import ReadOptions

_CLASSES_ALONE: Final = frozenset({"none", "each"})
_NO_NUMBERS: Final = frozenset({"", "0", "0.0", "-1", "-1.0"})
"""Coordinates that all four of a row have, if there is no box."""
_MIN_ROWS: Final = 3
_MAX_SHARE: Final = 0.2
"""If more rows have no single class, the table gives several classes to an image."""


def drop_class_tables(tables: Sequence[CsvTable]) -> tuple[list[CsvTable], list[str]]:
    """Leave out tables that give a class to whole images, if others hold boxes.

    Returns:
        The other tables, and a remark.

    Raises:
        UserError: A table gives several classes, or none, to many images.
    """
    for table in tables:
        _check_single_classes(table)
    plain = [table for table in tables if table.columns.form in _CLASSES_ALONE]
    if not plain or len(plain) == len(tables):
        return list(tables), []
    listed = ", ".join(sorted({table.path.name for table in plain}))
    kept = [table for table in tables if table not in plain]
    return kept, [f"{listed}: classes of whole images, while other tables hold boxes: left aside"]


def blank_absent_classes(table: CsvTable) -> tuple[CsvTable, list[str]]:
    """Take a class that never has a box for a word that there is no object, such as `No finding`.

    Returns:
        The table, without these classes, and a remark.
    """
    label, box = table.columns.label, table.columns.box
    if label is None or table.columns.form in _CLASSES_ALONE:
        return table, []
    bare = [{get_cell(row, column) for column in box} <= _NO_NUMBERS for _, row in table.rows]
    names = [get_cell(row, label) for _, row in table.rows]
    drawn = {name for name, is_bare in zip(names, bare, strict=True) if not is_bare}
    absent = Counter(name for name in names if name not in drawn)
    if not drawn or not absent:
        return table, []
    rows = [
        (number, _clear_cells(row, {label, *box}) if name in absent else row)
        for (number, row), name in zip(table.rows, names, strict=True)
    ]
    named = sorted((name, count) for name, count in absent.items() if name)
    if not named:
        return table._replace(rows=rows), []
    listed = ", ".join(f"{name!r} in {format_count(count, 'row')}" for name, count in named)
    remark = f"{table.path.name}: a class without any box is taken for no object: {listed}"
    return table._replace(rows=rows), [remark]


def _clear_cells(row: list[str], columns: Collection[int]) -> list[str]:
    return ["" if column in columns else cell for column, cell in enumerate(row)]


def _check_single_classes(table: CsvTable) -> None:
    """Check that most rows of a table with a column per class tick one."""
    if table.columns.form != "each":
        return
    ticks = [sum(get_cell(row, column) == "1" for column in table.columns.box) for _, row in table.rows]
    several, none = sum(tick > 1 for tick in ticks), ticks.count(0)
    if several + none >= _MIN_ROWS and several + none > _MAX_SHARE * len(ticks):
        raise UserError(
            f"{table.path}: {several} of {format_count(len(ticks), 'row')} give several classes to an image, "
            f"and {none} give none, but an image has one class here: keep the rows with one class"
        )


def name_class_numbers(
    entries: Sequence[ImageAnnotations], folder: Path, options: ReadOptions
) -> tuple[list[ImageAnnotations], list[str]]:
    """Name classes by a list such as classes.txt, if all of them are numbers.

    Raises:
        UserError: The list does not name many of the numbers, or names two alike.
    """
    used = Counter(item.label for entry in entries for item in entry.objects)
    if not used or not all(label.isdecimal() and len(label) < 7 for label in used):
        return list(entries), []
    texts = list_files(folder, ".txt", ".names")
    file = next((path for path in texts if path.name.lower() in CLASS_LIST_FILES), None)
    names = count_from_first(find_class_names([file]) if file else {}, options.first_class)
    if not file or not names or any(map(_names_image, names.values())):
        return list(entries), []
    check_distinct_names(names.values(), file)
    counts = Counter[int]()
    for label, count in used.items():
        counts[int(label)] += count
    check_named_numbers(counts, names, options.first_class, file)
    labels = {label: names.get(int(label), label) for label in used}
    named = [
        entry._replace(
            objects=tuple(build_object(labels[item.label], item.shape, item.mark) for item in entry.objects)
        )
        for entry in entries
    ]
    return named, [f"the classes are numbers: {format_relative_path(file, folder)} names them"]


def _names_image(name: str) -> bool:
    return any(PurePosixPath(word).suffix.lower() in IMAGE_SUFFIXES for word in name.split())
