"""Tell the columns of numbered points, such as corners and landmarks, from those of a box."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_POINT: Final = re.compile(r"[xy](\d|[1-9]\d{1,2})", re.ASCII)
BOX_POINTS: Final = 2
"""More numbered points than these are no two corners of a box."""


def is_point_column(name: str) -> bool:
    """Check whether a column name, as normalized, is that of a numbered point: x1."""
    return _POINT.fullmatch(name) is not None


def list_points(names: Iterable[str]) -> list[int]:
    """Return the numbers of the points that have a column for x and one for y, ascending."""
    found = {name for name in names if is_point_column(name)}
    numbers = [int(name[1:]) for name in found if name[0] == "x" and f"y{name[1:]}" in found]
    return sorted(numbers)


def find_four_corners(columns: Mapping[str, int]) -> tuple[int, ...] | None:
    """Return the columns x1, y1 to x4, y4, or x0, y0 to x3, y3; None if there are other points, too."""
    points = list_points(columns)
    if points not in ([0, 1, 2, 3], [1, 2, 3, 4]):
        return None
    return tuple(columns[f"{axis}{point}"] for point in points for axis in "xy")


def drop_point_series(columns: Mapping[str, int]) -> dict[str, int]:
    """Return the columns without those of numbered points, if there are more than the two of a box."""
    if len(list_points(columns)) <= BOX_POINTS:
        return {**columns}
    return {name: column for name, column in columns.items() if not is_point_column(name)}
