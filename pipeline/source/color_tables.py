"""Read tables that name colors: labelmap.txt of CVAT, class_dict.csv, label_colors.txt of CamVid."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.source.reading.parsing import UnreadableFileError, load_text

_COLOR_HEADS: Final = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
_NAME_HEADS: Final = {"name", "names", "class", "classes", "class_name", "label", "label_name", "category"}
_NUMBER_HEADS: Final = {"id", "class_id", "label_id", "index", "number", "value", "a", "alpha"}
_DELIMITERS: Final = (",", ";", "\t")
_NUMBER: Final = re.compile(r"0{0,2}(?:1?\d?\d|2[0-4]\d|25[0-5])(?:\.0+)?")
"""A whole number of 0 to 255, as spreadsheets write it, too; CamVid's tables fill it up to three digits."""
_LARGE_NUMBER: Final = re.compile(r"(?<![\w.])\d{3,}(?:\.0+)?(?![\w.]*\w)")
_WORD: Final = re.compile(r"[^,;\s]+")
_AROUND_NAME: Final = " \t:,;\"'"
_CHANNELS: Final = 3
_OPAQUE: Final = 255


class _Row(NamedTuple):
    """A line with a color.

    Attributes:
        line: The line as it is written.
        name: The words beside the numbers.
        numbers: Three or more numbers in a row, of which three are the color.
        has_cells: The name and each number are cells of a table; else numbers may belong to the name.
        is_before: The numbers stand before the name.
    """

    line: str
    name: str
    numbers: tuple[int, ...]
    has_cells: bool = True
    is_before: bool = False


def read_color_names(file: Path) -> dict[int, str]:
    """Read class names by color, 0xrrggbb.

    A line is `name:r,g,b:...`, `r g b name`, `name r g b`, or a row of a table with or without a header.
    Lines without a color are skipped.

    Raises:
        UserError: It is not clear which three numbers are the color, or a number is none of 0 to 255.
    """
    try:
        text, _ = load_text(file)
    except UnreadableFileError:
        return {}
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for delimiter in _DELIMITERS if lines else ():
        heads = [head.lower() for head in _split_cells(lines[0], delimiter)]
        if columns := _find_columns(heads):
            return dict(_read_columns([_split_cells(line, delimiter) for line in lines[1:]], columns, file))
    rows = [row for line in lines if (row := _parse_line(line))]
    _refuse_large_numbers(lines, rows, file)
    return dict(_choose_colors(rows, file))


def _split_cells(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a cell of more than 131,072 characters
        return []
    return [cell.strip(" \t\"'") for cell in cells]


def _find_columns(heads: Sequence[str]) -> tuple[int, ...]:
    """Return the columns of red, green, blue and the name; empty if this is no header of such a table."""
    found = [
        next((index for index, head in enumerate(heads) if head in words), None) for words in _COLOR_HEADS
    ]
    colors = [index for index in found if index is not None]
    others = [index for index in range(len(heads)) if index not in colors]
    ranked = sorted(
        others, key=lambda index: (heads[index] not in _NAME_HEADS, heads[index] in _NUMBER_HEADS)
    )
    return (*colors, ranked[0]) if len(colors) == _CHANNELS and ranked else ()


def _read_columns(
    rows: Sequence[Sequence[str]], columns: Sequence[int], file: Path
) -> Iterator[tuple[int, str]]:
    """Yield each color with its name.

    Raises:
        UserError: A number is none of 0 to 255.
    """
    for row in rows:
        cells = [row[index] if index < len(row) else "" for index in columns]
        *color, name = cells
        if not any(color):
            continue
        if not all(map(_NUMBER.fullmatch, color)):
            raise _report_no_color(", ".join(row), file)
        if name:
            yield _pack_color([_parse_number(cell) for cell in color]), name


def _refuse_large_numbers(lines: Sequence[str], rows: Sequence[_Row], file: Path) -> None:
    """Refuse a line that would be a color as those of the other lines are, but for a number above 255.

    Raises:
        UserError: There is one.
    """
    colors = {row.line for row in rows}
    marks = set(map(_list_marks, colors))
    others = (line for line in lines if line not in colors and _list_marks(line) in marks)
    for line in others:
        smaller = _parse_line(_LARGE_NUMBER.sub(str(_OPAQUE), line))
        if smaller and len(smaller.numbers) == _CHANNELS and smaller.name:
            raise _report_no_color(line, file)


def _list_marks(line: str) -> frozenset[str]:
    """Return the marks that divide a line."""
    return frozenset(line) & {":", *_DELIMITERS}


def _report_no_color(text: str, file: Path) -> UserError:
    return UserError(
        f"{file} has a row whose red, green and blue are not whole numbers of 0 to 255: {text[:100]!r}; "
        "correct it"
    )


def _parse_line(line: str) -> _Row | None:
    """Find the numbers and the name in a line without a header; None if it has no color."""
    parts = [part.strip() for part in line.split(":")]
    place = next((index for index, part in enumerate(parts) if _parse_numbers(part)), None)
    if place is not None and len(parts) > 1:
        name = ":".join(parts[:place]) if place else ":".join(parts[1:])
        return _Row(line, name.strip(), _parse_numbers(parts[place]))
    cells = next((cells for mark in _DELIMITERS if len(cells := _split_cells(line, mark)) > 1), [])
    return _parse_cells(line, cells) or _parse_words(line)


def _parse_cells(line: str, cells: Sequence[str]) -> _Row | None:
    """Find a cell with three numbers, as in `64 128 64<TAB>Animal`, or three or more cells of numbers."""
    whole = next((index for index, cell in enumerate(cells) if _parse_numbers(cell)), None)
    if whole is not None:
        name = next((cell for index, cell in enumerate(cells) if cell and index != whole), "")
        return _Row(line, name, _parse_numbers(cells[whole]))
    runs = [list(takewhile(_NUMBER.fullmatch, cells[start:])) for start in range(len(cells))]
    run = max(runs, key=len, default=[])
    words = [cell for cell in cells if cell and not _NUMBER.fullmatch(cell)]
    if len(run) < _CHANNELS:
        return None
    return _Row(line, next(iter(words), ""), tuple(map(_parse_number, run)))


def _parse_words(line: str) -> _Row | None:
    """Find the numbers at the start of a line, or else the last ones."""
    words = list(_WORD.finditer(line))
    run = list(takewhile(_is_number, words))
    is_before = bool(run)
    if not is_before:
        after = list(takewhile(lambda word: not _is_number(word), reversed(words)))
        run = list(takewhile(_is_number, reversed(words[: len(words) - len(after)])))[::-1]
    if len(run) < _CHANNELS:
        return None
    name = f"{line[: run[0].start()]} {line[run[-1].end() :]}".strip(_AROUND_NAME)
    numbers = tuple(_parse_number(word[0]) for word in run)
    return _Row(line, name, numbers, has_cells=False, is_before=is_before)


def _choose_colors(rows: Sequence[_Row], file: Path) -> Iterator[tuple[int, str]]:
    """Yield each color with its name; of four numbers one is an id, an opacity, or part of the name.

    Raises:
        UserError: It is not clear which.
    """
    long = [row for row in rows if len(row.numbers) > _CHANNELS]
    are_all_long = len(long) == len(rows)
    tables = [row for row in long if row.has_cells or (row.is_before and are_all_long)]
    start = _find_first_channel(tables, file) if tables else 0
    if are_all_long and rows and not tables and all(row.numbers[-1] == _OPAQUE for row in rows):
        raise _report_unclear(rows[0], file)
    for row in rows:
        is_table = row.has_cells or (row.is_before and are_all_long)
        if len(row.numbers) == _CHANNELS:
            first = 0
        elif is_table:
            first = start
        else:  # the name begins or ends with a number
            first = 0 if row.is_before else len(row.numbers) - _CHANNELS
        color, end = row.numbers[first : first + _CHANNELS], first + _CHANNELS
        rest = " ".join(map(str, (*row.numbers[:first], *row.numbers[end:])))
        words = [row.name or rest] if is_table else [rest, row.name] if row.is_before else [row.name, rest]
        if name := " ".join(filter(None, words)):
            yield _pack_color(color), name


def _find_first_channel(rows: Sequence[_Row], file: Path) -> int:
    """Return the place of red among four numbers: 1 behind an id, 0 before an id or an opacity.

    Raises:
        UserError: It is not clear, or there are more numbers.
    """
    counts = [list(range(first, first + len(rows))) for first in (0, 1)]
    before, after = [row.numbers[0] for row in rows], [row.numbers[-1] for row in rows]
    is_id_before = before in counts
    is_other_after = after in counts or set(after) == {_OPAQUE}
    if is_id_before == is_other_after or any(len(row.numbers) > _CHANNELS + 1 for row in rows):
        raise _report_unclear(rows[0], file)
    return int(is_id_before)


def _report_unclear(row: _Row, file: Path) -> UserError:
    return UserError(
        f"it is not clear which three numbers are the color in {file}, such as in {row.line[:100]!r}: write "
        "its lines as name,r,g,b below a line name,r,g,b"
    )


def _parse_numbers(text: str) -> tuple[int, ...]:
    """Return the three numbers of a text that is nothing else; empty if it is anything else."""
    words = _WORD.findall(text)
    are_numbers = len(words) == _CHANNELS and all(map(_NUMBER.fullmatch, words))
    return tuple(map(_parse_number, words)) if are_numbers else ()


def _is_number(word: re.Match[str]) -> bool:
    return _NUMBER.fullmatch(word[0]) is not None


def _parse_number(text: str) -> int:
    return int(float(text))


def _pack_color(color: Sequence[int]) -> int:
    red, green, blue = color
    return red << 16 | green << 8 | blue
