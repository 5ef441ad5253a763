"""Measure a few images if a table states no image sizes: they decide how boxes in one column are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.source.formats.csv.tables import CsvTable, get_cell
from pipeline.source.plausibility.image_sizes import read_displayed_size

_MAX_MEASURED_IMAGES: Final = 200


def add_image_sizes(table: CsvTable, images: Iterable[Path]) -> CsvTable:
    """Add the sizes of the first images, if boxes are in one column and no column states image sizes.

    Args:
        table: The table.
        images: All images of the source; two of the same name are skipped.
    """
    columns = table.columns
    if columns.form != "list" or columns.size is not None:
        return table
    names = dict.fromkeys(get_cell(row, columns.image) for _, row in table.rows)
    by_name = _index_by_name(images)
    found = ((name, by_name.get(PurePosixPath(name.replace("\\", "/")).name, ())) for name in names)
    unique = islice(((name, paths[0]) for name, paths in found if len(paths) == 1), _MAX_MEASURED_IMAGES)
    return table._replace(sizes={name: size for name, path in unique if (size := read_displayed_size(path))})


def _index_by_name(images: Iterable[Path]) -> Mapping[str, Sequence[Path]]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        for name in {path.name, path.stem}:
            by_name[name].append(path)
    return by_name
