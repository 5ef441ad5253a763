"""Read DOTA: a text file per image, a rotated box per line (`x1 y1 x2 y2 x3 y3 x4 y4 class difficult`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.text import format_count
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import format_relative_path, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_unusable_annotation,
    load_text,
    read_first_lines,
)
from pipeline.source.reading.shapes import Shape, build_rotated_box, parse_class_name, parse_coordinate
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "text files of x1 y1 x2 y2 x3 y3 x4 y4 class difficult"

_HEADER_STARTS: Final = ("imagesource", "gsd", "acquisition")
_UPRIGHT_BOX_FOLDER: Final = re.compile(r"reclabeltxt|^hbb$", re.IGNORECASE)


def matches_folder(folder: Path) -> bool:
    """Look for a line of eight numbers and a class name in the first text files."""
    return any(map(_is_box_line, read_first_lines(folder, ".txt", headers=_HEADER_STARTS)))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a DOTA dataset.

    Raises:
        UserError: No annotation has an image.
    """
    image_index = ImageIndex(list_images(folder))
    annotations, difficult = [], 0
    texts, remarks = _drop_upright_boxes(list_files(folder, ".txt"), folder)
    for path in texts:
        lines, fault = _read_lines(path)
        is_other_text = bool(lines) and not any(_is_box_line(line) for _, line in lines)
        if is_other_text and not _has_image(path, image_index):
            continue  # a list of classes, or a readme
        objects, notes = collect_objects(lines, _parse_line)
        difficult += sum(line.split()[-1] in {"1", "2"} for _, line in lines if len(line.split()) == 10)
        annotations.append(ImageAnnotations(path, (path.stem,), objects, notes, fault=fault))
    if difficult:
        remarks.append(f"{format_count(difficult, 'object')} marked as difficult: used as any other")
    layout = MatchingOptions(image_index, one_file_per_image=True)
    source = assemble_source(folder, annotations, layout, remarks)
    return read_boxes_as_stated(source, "corners", options.labels)


def _drop_upright_boxes(texts: list[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Drop the files of upright boxes that DOTA ships beside the rotated ones; return a remark about it."""
    upright = [path for path in texts if _UPRIGHT_BOX_FOLDER.search(path.parent.name)]
    rotated = [path for path in texts if not _UPRIGHT_BOX_FOLDER.search(path.parent.name)]
    if {path.stem for path in rotated}.isdisjoint(path.stem for path in upright):
        return texts, []
    folders = ", ".join(sorted({format_relative_path(path.parent, folder) for path in upright}))
    return rotated, [f"{folders} holds upright boxes beside the rotated ones: left aside"]


def _has_image(path: Path, image_index: ImageIndex) -> bool:
    return image_index.find((path.stem,), near=path.parent).image is not None


def _read_lines(path: Path) -> tuple[list[tuple[str, str]], str]:
    """Return the lines after the header, with their names in reports; or why the file cannot be read."""
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return [], describe_unusable_annotation(path, error)
    lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(mark, line) for mark, line in lines if line and not line.lower().startswith(_HEADER_STARTS)], ""


def _is_box_line(line: str) -> bool:
    fields = line.split()
    if len(fields) not in {9, 10} or _is_number(fields[8]):
        return False
    return all(map(_is_number, (*fields[:8], *fields[9:])))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _parse_line(line: str) -> tuple[str, Shape]:
    fields = line.split()
    if len(fields) not in {9, 10}:
        raise ValueError(f"not eight numbers and a class: {line[:60]!r}")
    corners = [parse_coordinate(value) for value in fields[:8]]
    return parse_class_name(fields[8]), build_rotated_box(np.array(corners).reshape(4, 2))
