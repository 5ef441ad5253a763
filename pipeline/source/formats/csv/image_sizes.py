"""Measure a few images if a table states no image sizes: they decide how boxes in one column are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from PIL import Image

from pipeline.source.formats.csv.tables import CsvTable, get_cell
from pipeline.source.reading.file_tree import is_file

_MAX_MEASURED_IMAGES: Final = 200
_EXIF_ORIENTATION: Final = 0x0112
_SWAPPED_SIDES: Final = {5, 6, 7, 8}


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
    return table._replace(sizes={name: size for name, path in unique if (size := _read_image_size(path))})


def _index_by_name(images: Iterable[Path]) -> Mapping[str, Sequence[Path]]:
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        for name in {path.name, path.stem}:
            by_name[name].append(path)
    return by_name


def _read_image_size(path: Path) -> tuple[int, int] | None:
    """Read width and height from the header, after EXIF rotation; None if the file cannot be read."""
    if not is_file(path):  # opening a pipe would block
        return None
    try:
        with Image.open(path) as image:
            is_rotated = image.getexif().get(_EXIF_ORIENTATION, 1) in _SWAPPED_SIDES
            return (image.height, image.width) if is_rotated else (image.width, image.height)
    except Exception:  # decoders raise any type; prepare reports the image
        return None
