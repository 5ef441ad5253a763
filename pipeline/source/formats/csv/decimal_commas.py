"""Read numbers with a decimal comma, such as 12,5; a comma that may separate thousands is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

TableRow = tuple[int, list[str]]

_COMMA_NUMBER: Final = re.compile(r"[-+]?\d*,\d+")
_MAYBE_THOUSANDS: Final = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
_BOTH_MARKS: Final = re.compile(r"[-+]?\d[\d.,]*[.,]\d[\d.,]*")


def replace_decimal_commas(rows: Sequence[TableRow], columns: Sequence[int], path: Path) -> list[TableRow]:
    """Write numbers with a decimal point, if those of a table have a decimal comma.

    Args:
        rows: The rows of a table with their line numbers.
        columns: The columns of numbers.
        path: The table, for messages.

    Raises:
        UserError: Nothing shows whether the commas are decimal or separate thousands.
    """
    cells = [row[column].strip() for _, row in rows for column in columns if column < len(row)]
    with_comma = [cell for cell in cells if "," in cell and _BOTH_MARKS.fullmatch(cell)]
    with_comma += [cell for cell in cells if cell.startswith(",") and _COMMA_NUMBER.fullmatch(cell)]
    if not with_comma:
        return list(rows)
    points = any("." in cell for cell in cells)
    unclear = next((cell for cell in with_comma if not _COMMA_NUMBER.fullmatch(cell)), "")
    if all(map(_MAYBE_THOUSANDS.fullmatch, with_comma)) or (unclear or points):
        raise UserError(
            f"{path}: the comma in {unclear or with_comma[0]!r} may be decimal or separate thousands: "
            "write numbers with a decimal point and without separators"
        )
    return [(line, _replace_commas(row, columns)) for line, row in rows]


def _replace_commas(row: Sequence[str], columns: Sequence[int]) -> list[str]:
    chosen = {*columns}
    return [cell.replace(",", ".") if column in chosen else cell for column, cell in enumerate(row)]
