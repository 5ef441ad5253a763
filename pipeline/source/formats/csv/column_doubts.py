"""Refuse or tell of columns that make a box doubtful: a rotation, or more points than its two corners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Final

from pipeline.core.errors import UserError
from pipeline.source.formats.csv.columns import BOX_PREFIX, CsvColumns, normalize_header
from pipeline.source.formats.csv.numbered_points import BOX_POINTS, is_point_column, list_points
from pipeline.source.formats.csv.tables import CsvTable, get_cell
from pipeline.source.reading.parsing import format_file_name

_ROTATION_NAMES: Final = frozenset(
    {
        *("angle", "rotation", "theta", "rot", "rotationangle", "winkel", "drehung"),
        *("angledeg", "angledegrees", "anglerad", "angleradians", "rotationdeg", "rotationrad"),
    }
)
_MIN_IMAGES: Final = 2
"""So many images whose boxes all have one angle show that it is that of the camera."""


def check_box_columns(table: CsvTable, policy: str) -> Iterator[str]:
    """Yield remarks on columns that are not read, but could change what the boxes are.

    Args:
        table: The table.
        policy: As in data.labels; unless it is auto, the user has said what the boxes are.

    Raises:
        UserError: A rotation may be that of the boxes: its unit, its direction and its center are not known.
            Or the two corners of a box are those of a longer series of points, such as landmarks.
    """
    name = format_file_name(table.path)
    if points := count_rival_points(table.columns, table.header):
        if policy == "auto":
            raise UserError(
                f"{table.path} has columns of {points} points, and none of a box: call those of the box "
                "xmin, ymin, xmax and ymax; if the first two points are its corners, set "
                "data.labels=pixel_corners"
            )
        yield f"{name}: the first two of {points} points are taken for the corners of a box (data.labels)"
    if not table.columns.box or table.columns.form in {"quadrilateral", "each"}:
        return
    for rotation, column in _list_rotation_columns(table.columns):
        line = _find_turned_line(table, column)
        if line is None:
            continue
        if policy == "auto" and not _is_constant_per_image(table, column):
            raise UserError(
                f"{table.path}, line {line}: the column {rotation!r} holds a rotation, and a table does not "
                "say how it is meant: write four corners (x1, y1 to x4, y4) instead of box and rotation; or, "
                "if it does not rotate the boxes, rename the column, or set data.labels=pixels (shares)"
            )
        why = "all boxes of an image have the same" if policy == "auto" else f"data.labels={policy}"
        yield f"{name}: {rotation!r} is left aside, and boxes are read as upright: {why}"


def count_rival_points(columns: CsvColumns, header: Sequence[str]) -> int:
    """Return how many numbered points there are if a box is two of three or more; else 0."""
    if columns.form not in {"corners", "extent"}:
        return 0
    names = [*map(normalize_header, header)]
    first = names[columns.box[0]]
    prefix = found[0] if (found := BOX_PREFIX.match(first)) else ""
    points = list_points(name.removeprefix(prefix) for name in names if name.startswith(prefix))
    is_doubtful = is_point_column(first.removeprefix(prefix)) and len(points) > BOX_POINTS
    return len(points) if is_doubtful else 0


def _list_rotation_columns(columns: CsvColumns) -> list[tuple[str, int]]:
    """Return name and index of the columns that are called like the rotation of a box."""
    return [
        (name, column)
        for name, column in columns.others.items()
        if BOX_PREFIX.sub("", normalize_header(name)) in _ROTATION_NAMES
    ]


def _find_turned_line(table: CsvTable, column: int) -> int | None:
    """Return the number of the first line with a box and another angle than 0; None if there is none."""
    lines = (
        number for number, row in table.rows if _has_box(row, table) and _parse_angle(get_cell(row, column))
    )
    return next(lines, None)


def _is_constant_per_image(table: CsvTable, column: int) -> bool:
    """Check that all boxes of an image have one angle, in every image with several boxes, some not 0.

    Then the angle is that of the camera, as in its metadata, and not that of the boxes.
    """
    angles: dict[str, list[float]] = defaultdict(list)
    for _, row in table.rows:
        if _has_box(row, table):
            angles[get_cell(row, table.columns.image)].append(_parse_angle(get_cell(row, column)))
    several = [found for found in angles.values() if len(found) > 1]
    turned = sum(any(found) for found in several)
    return turned >= _MIN_IMAGES and all(len({*found}) == 1 for found in several)


def _has_box(row: list[str], table: CsvTable) -> bool:
    return any(get_cell(row, column) for column in table.columns.box)


def _parse_angle(cell: str) -> float:
    """Return the number in a cell; 0 if it holds none, as for nan."""
    try:
        angle = float(cell.replace(",", "."))
    except ValueError:
        return 0
    return angle if isfinite(angle) else 0
