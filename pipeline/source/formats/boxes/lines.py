"""Parse the lines of text files of boxes: `x1 y1 x2 y2 class` or `class x1 y1 x2 y2`, in pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.source.plausibility.column_order import ColumnOrder, infer_column_order
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name

_FIELDS: Final = 5
_BOX_FIELDS: Final = 4
_MAX_DIGITS: Final = 6
_FLAG: Final = "difficult"
"""What evaluation tools write behind an object that is hard to see."""


def split_line(line: str) -> list[str]:
    """Split a line into five fields: a class of several words is one, a flag and a score are removed.

    A line that is no box has another number of fields.
    """
    fields = line.replace(",", " ").split()
    if len(fields) > _FIELDS and fields[-1].lower() == _FLAG:
        fields.pop()
    if len(fields) <= _FIELDS:
        return fields
    if (place := _find_score(fields)) is not None:
        fields.pop(place)
    head, box = fields[:-_BOX_FIELDS], fields[-_BOX_FIELDS:]
    is_name = _parse_fields(head[:1]) is None and not any(map(_is_image_name, head))
    if len(fields) > _FIELDS and is_name and _parse_fields(box):
        return [" ".join(head), *box]
    return fields


def has_score(line: str) -> bool:
    """Check for a box with a number between 0 and 1 beside its class, as a model writes it."""
    fields = line.replace(",", " ").split()
    return len(fields) > _FIELDS and _find_score(fields) is not None


def _find_score(fields: Sequence[str]) -> int | None:
    """Return the place of the score in `class score x1 y1 x2 y2` or `x1 y1 x2 y2 class score`."""
    for place, box in ((-_BOX_FIELDS - 1, fields[-_BOX_FIELDS:]), (-1, fields[:_BOX_FIELDS])):
        score, values = _parse_fields([fields[place]]), _parse_fields(box)
        if score and values and len(fields) == _FIELDS + 1 and "." in fields[place] and 0 <= score[0] <= 1:
            return place if _is_box(values) else None
    return None


def parse_numbers(line: str) -> list[float] | None:
    """Return the five numbers of a line; None if it has others, or words."""
    fields = split_line(line)
    return _parse_fields(fields) if len(fields) == _FIELDS else None


def is_box_line(line: str, order: ColumnOrder) -> bool:
    """Check for a class and two ordered corners."""
    fields = split_line(line)
    values = _parse_fields(fields[1:] if order == "class_first" else fields[:-1])
    return len(fields) == _FIELDS and values is not None and _is_box(values)


def parse_line(line: str, names: Mapping[int, str], order: ColumnOrder) -> tuple[str, Shape]:
    """Return the class and the box of a line.

    Raises:
        ValueError: It is no such line.
    """
    fields = split_line(line)
    if len(fields) != _FIELDS:
        expected = "a class and x1 y1 x2 y2" if order == "class_first" else "x1 y1 x2 y2 and a class"
        raise ValueError(f"not {expected}: {line.strip()[:60]!r}")
    label, *box = fields if order == "class_first" else (fields[-1], *fields[:-1])
    number = _parse_class_number(label)
    name = parse_class_name(label) if number is None else names.get(number, f"class_{number}")
    return name, build_box(box)


def count_class_numbers(lines: Iterable[str], order: ColumnOrder) -> Counter[int]:
    """Count the boxes of each class that is given by a number."""
    fields = (split_line(line) for line in lines if is_box_line(line, order))
    numbers = (_parse_class_number(row[0 if order == "class_first" else -1]) for row in fields)
    return Counter(number for number in numbers if number is not None)


def infer_order(lines: Iterable[str], names: Mapping[int, str]) -> ColumnOrder:
    """Infer the order of the columns: a class may be a word; if it is a number, all lines decide.

    If both the first and the last number can be a class, the one that only takes the numbers of named
    classes is it.
    """
    fields = [row for line in lines if len(row := split_line(line)) == _FIELDS]
    words = Counter(place for row in fields if (place := _find_word(row)) is not None)
    if words:
        return "class_first" if words[0] > words[_FIELDS - 1] else "class_last"
    numbers = [values for row in fields if (values := _parse_fields(row))]
    table = np.array(numbers, np.float64).reshape(-1, _FIELDS)
    table = table[(table[:, 1:4] > 1).any(axis=1)]
    order = infer_column_order(table)
    if order == "unclear" and names and len(table):
        first, last = (bool(np.isin(table[:, column], list(names)).all()) for column in (0, -1))
        return "unclear" if first == last else "class_first" if first else "class_last"
    return order


def _find_word(fields: Sequence[str]) -> int | None:
    """Return the place of the only field that is a word and no image, if the others are a box in pixels."""
    for place, box in ((0, fields[1:]), (_FIELDS - 1, fields[:-1])):
        values = _parse_fields(box)
        is_word = _parse_fields([fields[place]]) is None
        if values and is_word and _is_box(values):
            return None if _is_image_name(fields[place]) else place
    return None


def _is_image_name(word: str) -> bool:
    return PurePosixPath(word).suffix.lower() in IMAGE_SUFFIXES


def _parse_class_number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None


def _parse_fields(fields: Sequence[str]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _is_box(values: Sequence[float]) -> bool:
    """Check for a box in pixels: two ordered corners, with coordinates above YOLO's range of 0 to 1."""
    x1, y1, x2, y2 = values
    return x2 > max(x1, 1) and y2 > max(y1, 1) and min(x1, y1) >= 0
