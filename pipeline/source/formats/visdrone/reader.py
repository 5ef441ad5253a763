"""Read VisDrone (DET): a text file per image, an object per line.

A line is `x,y,width,height,score,category,truncation,occlusion`. Score 0 or category 0 is an ignored region.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_unusable_annotation,
    load_text,
    read_first_lines_by_folder,
)
from pipeline.source.reading.shapes import Shape, build_box, parse_coordinate
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "text files of x,y,width,height,score,category,truncation,occlusion"

_NAMES: Final = (
    *("ignored regions", "pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle"),
    *("awning-tricycle", "bus", "motor", "others"),
)
"""Official names by category number."""
_OBJECT_LINE: Final = re.compile(
    r"(?:-?\d+(?:\.\d+)?\s*,\s*){4}[01]\s*,\s*(?:\d|1[01])\s*,\s*[01]\s*,\s*[012]\s*,?"
)


class VisdroneFile(NamedTuple):
    """One text file.

    Attributes:
        path: The file.
        lines: Its lines that are not empty, each with its name in reports.
        fault: Why the file cannot be read; empty if it can.
    """

    path: Path
    lines: list[tuple[str, str]]
    fault: str = ""


def matches_folder(folder: Path) -> bool:
    """Look for a line of four numbers, a flag, a category and two levels in the first text files."""
    return any(_OBJECT_LINE.fullmatch(line.strip()) for line in read_first_lines_by_folder(folder, ".txt"))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read VisDrone annotations.

    Raises:
        UserError: There is no annotation file, or none has an image.
    """
    image_index = ImageIndex(list_images(folder))
    files = _find_files(folder, image_index)
    if not files:
        raise UserError(f"no VisDrone annotations in {folder}: expected {RECOGNIZED_BY}")
    entries = [_parse_file(file) for file in files]
    used = {item.label for entry in entries for item in entry.objects}
    order = tuple(name for name in _NAMES if name in used)
    layout = MatchingOptions(image_index, one_file_per_image=True, class_order=order)
    source = assemble_source(folder, entries, layout, _describe_ignored(files))
    return read_boxes_as_stated(source, "extent", options.labels)


def _find_files(folder: Path, image_index: ImageIndex) -> list[VisdroneFile]:
    """Read the text files in the folders that hold VisDrone lines."""
    files = [_read_file(path) for path in list_files(folder, ".txt")]
    with_objects = {
        file.path for file in files if any(_OBJECT_LINE.fullmatch(line) for _, line in file.lines)
    }
    places = {path.parent for path in with_objects}
    return [
        file
        for file in files
        if file.path in with_objects
        or (file.path.parent in places and image_index.find((file.path.stem,), near=file.path.parent).image)
    ]


def _read_file(path: Path) -> VisdroneFile:
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return VisdroneFile(path, [], describe_unusable_annotation(path, error))
    lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return VisdroneFile(path, [(mark, line) for mark, line in lines if line])


def _parse_file(file: VisdroneFile) -> ImageAnnotations:
    objects, notes = collect_objects(
        [(mark, line) for mark, line in file.lines if not _is_ignored(line)], _parse_line
    )
    return ImageAnnotations(file.path, (file.path.stem,), objects, notes, fault=file.fault)


def _split_line(line: str) -> list[str]:
    return [field.strip() for field in line.rstrip(", ").split(",")]


def _is_ignored(line: str) -> bool:
    fields = _split_line(line)
    return len(fields) == 8 and (fields[4] == "0" or fields[5] == "0")


def _parse_line(line: str) -> tuple[str, Shape]:
    fields = _split_line(line)
    if len(fields) != 8:
        raise ValueError(f"not eight numbers: {line[:60]!r}")
    x, y, width, height = map(parse_coordinate, fields[:4])
    if not fields[5].isdecimal() or int(fields[5][:9]) >= len(_NAMES):
        raise ValueError(f"category {fields[5][:20]!r} is none of 0 to {len(_NAMES) - 1}")
    return _NAMES[int(fields[5])], build_box((x, y, x + width, y + height))


def _describe_ignored(files: Sequence[VisdroneFile]) -> list[str]:
    ignored = [sum(_is_ignored(line) for _, line in file.lines) for file in files]
    if not sum(ignored):
        return []
    regions = format_count(sum(ignored), "ignored region")
    images = format_count(sum(map(bool, ignored)), "image")
    return [f"{regions} (score 0 or category 0) in {images}: no objects, left out; the images are used"]
