"""Keep the results of a benchmark as rows of a CSV file, whose columns are the fields of a named tuple."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


def append_row(path: Path, fields: Sequence[str], values: Sequence[object]) -> None:
    """Add a row at the end; the first one gets the names of the columns above it."""
    is_new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(fields)
        writer.writerow(values)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read all rows by column; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
