"""Real sizes of a few images of a table that states none: boxes in one column are told by them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final

from PIL import Image

from pipeline.source.formats.csv.tables import CsvTable, cell
from pipeline.source.reading.file_tree import is_file

_MOST: Final = 200
_ORIENTATION: Final = 0x0112
_TURNED: Final = {5, 6, 7, 8}


def measured(table: CsvTable, images: Iterable[Path]) -> CsvTable:
    """Add the sizes of the first images, where all else does not tell what the numbers of a box are.

    Args:
        table: As it was loaded.
        images: All of the source; those of one name are passed over.
    """
    known = table.columns
    if known.form != "list" or known.size is not None:
        return table
    named = dict.fromkeys(cell(row, known.image) for _, row in table.rows)
    places = _by_name(images)
    found = ((name, places.get(PurePosixPath(name.replace("\\", "/")).name, ())) for name in named)
    alone = islice(((name, paths[0]) for name, paths in found if len(paths) == 1), _MOST)
    return table._replace(sizes={name: size for name, path in alone if (size := _size(path))})


def _by_name(images: Iterable[Path]) -> Mapping[str, Sequence[Path]]:
    places: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        for name in {path.name, path.stem}:
            places[name].append(path)
    return places


def _size(path: Path) -> tuple[int, int] | None:
    """Read width and height, as the image is looked at, from its header; None where it cannot be read."""
    if not is_file(path):  # to open a pipe would wait for ever
        return None
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in _TURNED
            return (image.height, image.width) if turned else (image.width, image.height)
    except Exception:  # decoders raise what they like; prepare names the image
        return None
