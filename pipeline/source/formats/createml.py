"""CreateML JSON, as Roboflow exports it too: a list of images, each with labels and boxes about a centre."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.source.reading import shapes
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, files, heads, load_json
from pipeline.source.reading.shapes import Shape
from pipeline.source.types import Source

LOOKED_FOR: Final = "JSON list of images with annotations and coordinates"

_SIDES: Final = ("x", "y", "width", "height")


def recognises(folder: Path) -> bool:
    """Look into the first JSON files."""
    return any(b'"coordinates"' in head and b'"annotations"' in head for head in heads(folder, ".json"))


def read(folder: Path) -> Source:
    """Read a CreateML dataset.

    Raises:
        Refused: There are no such files, one cannot be read, or no image has an annotation.
    """
    entries = [entry for path in files(folder, ".json") for entry in _entries(path)]
    if not entries:
        raise UserError(f"no CreateML annotations in {folder}: expected a {LOOKED_FOR}")
    remarks = ["x and y are taken for the centre of a box, as CreateML does unless told otherwise"]
    return gather(folder, entries, MatchingOptions(ImageIndex(images_in(folder))), remarks)


def _entries(path: Path) -> Iterator[ImageAnnotations]:
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: mend it or remove it") from None
    for row in data if isinstance(data, list) else ():
        name = row.get("image", row.get("imagefilename")) if isinstance(row, dict) else None
        if isinstance(name, str) and isinstance(row.get("annotations"), list):
            marked = [(f"annotation {number}", item) for number, item in enumerate(row["annotations"], 1)]
            found, notes = collect(marked, _draw)
            yield ImageAnnotations(path, (name,), found, notes)


def _draw(item: Any) -> tuple[str, Shape]:
    coordinates = item.get("coordinates") if isinstance(item, dict) else None
    if not isinstance(coordinates, dict):
        raise ValueError("no coordinates")
    x, y, width, height = (shapes.number(coordinates.get(side)) for side in _SIDES)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return shapes.named(item.get("label")), shapes.box(corners)
