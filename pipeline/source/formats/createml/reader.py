"""Read CreateML JSON: a list of images, each with labels and boxes given by their center."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_json, read_heads
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name, parse_coordinate
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON list of images with annotations and coordinates"

_BOX_KEYS: Final = ("x", "y", "width", "height")


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON files."""
    return any(b'"coordinates"' in head and b'"annotations"' in head for head in read_heads(folder, ".json"))


def read_folder(folder: Path, _options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a CreateML dataset.

    Raises:
        UserError: There is no CreateML file, one cannot be read, or no image has an annotation.
    """
    annotations = [found for path in list_files(folder, ".json") for found in _read_file(path)]
    if not annotations:
        raise UserError(f"no CreateML annotations in {folder}: expected a {RECOGNIZED_BY}")
    remarks = ["x and y are taken for the centre of a box, as CreateML does unless told otherwise"]
    return assemble_source(folder, annotations, MatchingOptions(ImageIndex(list_images(folder))), remarks)


def _read_file(path: Path) -> Iterator[ImageAnnotations]:
    """Yield the annotations of each image; objects that cannot be parsed become notes."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None
    for row in data if isinstance(data, list) else ():
        name = row.get("image", row.get("imagefilename")) if isinstance(row, dict) else None
        if isinstance(name, str) and isinstance(row.get("annotations"), list):
            items = [(f"annotation {number}", item) for number, item in enumerate(row["annotations"], 1)]
            objects, notes = collect_objects(items, _parse_annotation)
            yield ImageAnnotations(path, (name,), objects, notes)


def _parse_annotation(item: Any) -> tuple[str, Shape]:
    """Return the class and the box of one object; raise ValueError if there is none."""
    coordinates = item.get("coordinates") if isinstance(item, dict) else None
    if not isinstance(coordinates, dict):
        raise ValueError("no coordinates")
    x, y, width, height = (parse_coordinate(coordinates.get(side)) for side in _BOX_KEYS)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return parse_class_name(item.get("label")), build_box(corners)
