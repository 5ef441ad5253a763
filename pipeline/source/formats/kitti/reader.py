"""Read KITTI: a text file per image, an object per line (`type truncated occluded alpha x1 y1 x2 y2 ...`).

The boxes of the left color camera are read: label_2/ belongs to image_2/. NVIDIA TAO writes the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.kitti.image_sets import apply_image_sets
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.plausibility.predictions import are_certain, parse_score
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
from pipeline.source.reading.shapes import Shape, build_box, parse_class_name
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "text files of type truncated occluded alpha x1 y1 x2 y2 and seven numbers"

_LABEL_NUMBERS: Final = 14
_DETECTION_NUMBERS: Final = 15
"""A line with a score behind the other fields: what a model has found."""
_IGNORED_TYPE: Final = "dontcare"

Lines = list[tuple[str, str]]


class KittiFile(NamedTuple):
    """One text file.

    Attributes:
        path: The file.
        lines: Its lines that are not empty, each with its name in reports.
        fault: Why the file cannot be read; empty if it can.
    """

    path: Path
    lines: Lines
    fault: str = ""


def matches_folder(folder: Path) -> bool:
    """Look for a line of a class name and 14 or 15 numbers in the first text files."""
    return any(map(_is_object_line, read_first_lines_by_folder(folder, ".txt")))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read KITTI label files.

    Raises:
        UserError: There is no label file, all are detections of a model, or none has an image.
    """
    image_index = ImageIndex(list_images(folder))
    files = _find_label_files(folder, image_index)
    if not files:
        raise UserError(f"no KITTI labels in {folder}: expected {RECOGNIZED_BY}")
    scores = {file.path: _list_scores(file) for file in files}
    drawn = are_certain([score for found in scores.values() for score in found])  # as Datumaro writes
    labels = [file for file in files if options.predictions == "labels" or drawn or not scores[file.path]]
    if not labels:
        raise UserError(
            f"the KITTI files in {folder} have a score on each line, so a model has written them: set "
            "data.predictions=labels to use them as labels"
        )
    parsed = [_parse_file(file) for file in labels]
    entries, list_remarks = apply_image_sets(folder, parsed, {file.path for file in files}, image_index)
    is_scored = not drawn and any(scores[file.path] for file in labels)
    remarks = _describe_files(files, labels, is_scored=is_scored)
    layout = MatchingOptions(image_index, one_file_per_image=True)
    source = assemble_source(folder, entries, layout, (*remarks, *list_remarks))
    return read_boxes_as_stated(source, "corners", options.labels)


def _find_label_files(folder: Path, image_index: ImageIndex) -> list[KittiFile]:
    """Read the text files beside KITTI lines; calib/ and velodyne/ hold other files with the same names."""
    files = [_read_file(path) for path in list_files(folder, ".txt")]
    with_objects = {file.path for file in files if any(_is_object_line(line) for _, line in file.lines)}
    places = {path.parent for path in with_objects}
    beside = [file for file in files if file.path.parent in places]
    return [
        file
        for file in beside
        if file.path in with_objects
        or image_index.find(_list_image_names(file.path), near=file.path.parent).image
    ]


def _list_image_names(path: Path) -> tuple[str, str]:
    """Return the possible image names: label_2/000001.txt belongs to image_2/, not to image_3/."""
    images = path.parent.name.lower().replace("label", "image")
    return f"{images}/{path.stem}", path.stem


def _read_file(path: Path) -> KittiFile:
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return KittiFile(path, [], describe_unusable_annotation(path, error))
    lines = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return KittiFile(path, [(mark, line) for mark, line in lines if line])


def _parse_file(file: KittiFile) -> ImageAnnotations:
    lines = [(mark, line) for mark, line in file.lines if not _is_ignored(line)]
    objects, notes = collect_objects(lines, _parse_line)
    return ImageAnnotations(file.path, _list_image_names(file.path), objects, notes, fault=file.fault)


def _parse_line(line: str) -> tuple[str, Shape]:
    name, numbers = _split_line(line)
    if not name or len(numbers) not in {_LABEL_NUMBERS, _DETECTION_NUMBERS}:
        raise ValueError(f"not a type and 14 numbers: {line[:60]!r}")
    return parse_class_name(name), build_box(numbers[3:7])


def _split_line(line: str) -> tuple[str, list[str]]:
    """Split a line into the class, which may have blanks, and the numbers after it."""
    fields = line.split()
    first = len(fields)
    while first and _is_number(fields[first - 1]):
        first -= 1
    return " ".join(fields[:first]), fields[first:]


def _is_object_line(line: str) -> bool:
    name, numbers = _split_line(line)
    return bool(name) and len(numbers) in {_LABEL_NUMBERS, _DETECTION_NUMBERS}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_ignored(line: str) -> bool:
    return line.split(maxsplit=1)[0].lower() == _IGNORED_TYPE


def _list_scores(file: KittiFile) -> list[float | None]:
    numbers = (_split_line(line)[1] for _, line in file.lines if _is_object_line(line))
    return [parse_score(found[-1]) for found in numbers if len(found) == _DETECTION_NUMBERS]


def _describe_files(files: Sequence[KittiFile], labels: Sequence[KittiFile], *, is_scored: bool) -> list[str]:
    """Say which regions are no objects, and which files hold detections.

    Args:
        files: All files.
        labels: Those that are used.
        is_scored: Whether some lines of them have a score that a model may have written.
    """
    ignored = [sum(_is_ignored(line) for _, line in file.lines) for file in labels]
    remarks = []
    if sum(ignored):
        regions = format_count(sum(ignored), "region")
        images = format_count(sum(map(bool, ignored)), "image")
        remarks.append(f"{regions} marked DontCare in {images}: no objects, left out; the images are used")
    if len(files) > len(labels):
        unused = format_count(len(files) - len(labels), "file")
        remarks.append(f"{unused} with scores, written by a model: left aside (data.predictions decides)")
    elif is_scored:
        remarks.append("lines with a score, written by a model, are used as labels (data.predictions)")
    return remarks
