"""Align rows of text in columns of a given width: cells that are too long continue on the next line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len, chop_cells

GAP: Final = "  "
_PARTS: Final = re.compile(r"[^\s-]*-+|[^\s-]+|\s+")
"""A line may end after a hyphen or at a blank."""


def format_wrapped_columns(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Format rows; the cells of one row may take several lines.

    Args:
        rows: Their cells.
        widths: Of each column, in cells of the terminal.
    """
    return [line for row in rows for line in _format_row(row, widths)]


def wrap_cell(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` cells: after blanks and hyphens, else anywhere."""
    lines = [""]
    for part in _PARTS.findall(text):
        if cell_len(lines[-1]) + cell_len(part.rstrip()) <= width:
            lines[-1] += part
            continue
        first, *more = chop_cells(part.lstrip(), width) or [""]
        lines += [first, *more]
    return [line.rstrip() for line in lines if line.strip()] or [""]


def share_width(wanted: Sequence[int], available: int) -> tuple[int, int]:
    """Share out the width that is left to two columns; the first gets at least half of it where it needs it.

    Args:
        wanted: The longest cell of each.
        available: Cells for both.
    """
    first, second = wanted
    if first + second <= available:
        return first, second
    first = min(first, max(available - second, (available + 1) // 2))
    return first, available - first


def _format_row(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    wrapped = [wrap_cell(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = zip_longest(*wrapped, fillvalue="")
    return [
        GAP.join(_pad(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
