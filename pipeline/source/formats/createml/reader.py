"""Read CreateML JSON: a list of images, each with labels and boxes given by their center."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.plausibility.predictions import (
    PREDICTIONS_ADVICE,
    are_certain,
    get_score,
    have_scores,
)
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import format_relative_path, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_json, read_heads
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name, parse_coordinate
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON list of images with annotations and coordinates"

_LIST_KEY: Final = re.compile(rb'"annotations?"\s*:')
_BOX_KEYS: Final = ("x", "y", "width", "height")


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON files."""
    return any(b'"coordinates"' in head and _LIST_KEY.search(head) for head in read_heads(folder, ".json"))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a CreateML dataset.

    Raises:
        UserError: There is no CreateML file, one cannot be read, or no image has an annotation.
    """
    annotations, prediction_remarks = _load_files(folder, options.predictions)
    if not annotations:
        raise UserError(f"no CreateML annotations in {folder}: expected a {RECOGNIZED_BY}")
    remarks = ["x and y are taken for the centre of a box, as CreateML does unless told otherwise"]
    layout = MatchingOptions(ImageIndex(list_images(folder)))
    source = assemble_source(folder, annotations, layout, [*remarks, *prediction_remarks])
    return read_boxes_as_stated(source, "centre", options.labels)


def _load_files(folder: Path, policy: str) -> tuple[list[ImageAnnotations], list[str]]:
    """Load the annotations of all files, without those of model output.

    Raises:
        UserError: All of them are model output.
    """
    files = {path: _load_rows(path) for path in list_files(folder, ".json")}
    predicted = [path for path, rows in files.items() if policy != "labels" and _have_scores(rows)]
    annotations = [
        _parse_row(path, row) for path, rows in files.items() if path not in predicted for row in rows
    ]
    if predicted and not annotations:
        raise UserError(
            f"every annotation in {predicted[0]} has a score: that is model output, not labels; add the "
            "labels, or set data.predictions=labels to train on it"
        )
    listed = ", ".join(format_relative_path(path, folder) for path in predicted)
    remark = f"model output, not labels: {listed}: left aside ({PREDICTIONS_ADVICE})"
    return annotations, [remark] if predicted else []


def _have_scores(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Check whether all objects of a file have a score that is not simply 1."""
    items = [item for row in rows for item in _list_annotations(row) or ()]
    scores = [get_score(item) if isinstance(item, dict) else None for item in items]
    return have_scores(scores) and not are_certain(scores)


def _load_rows(path: Path) -> list[Mapping[str, Any]]:
    """Return the rows of a file that name an image and list its annotations."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    return [
        row for row in rows if isinstance(_image_name(row), str) and isinstance(_list_annotations(row), list)
    ]


def _image_name(row: Mapping[str, Any]) -> Any:
    return row.get("image", row.get("imagefilename"))


def _list_annotations(row: Mapping[str, Any]) -> Any:
    """Return the list of annotations; files with `imagefilename` call it `annotation`."""
    return row.get("annotations", row.get("annotation"))


def _parse_row(path: Path, row: Mapping[str, Any]) -> ImageAnnotations:
    """Parse the annotations of an image; objects that cannot be parsed become notes."""
    items = [(f"annotation {number}", item) for number, item in enumerate(_list_annotations(row), 1)]
    objects, notes = collect_objects(items, _parse_annotation)
    return ImageAnnotations(path, (_image_name(row),), objects, notes)


def _parse_annotation(item: Any) -> tuple[str, Shape]:
    """Return the class and the box of one object; raise ValueError if there is none."""
    coordinates = item.get("coordinates") if isinstance(item, dict) else None
    if not isinstance(coordinates, dict):
        raise ValueError("no coordinates")
    x, y, width, height = (parse_coordinate(coordinates.get(side)) for side in _BOX_KEYS)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return parse_class_name(item.get("label")), build_box(corners)
