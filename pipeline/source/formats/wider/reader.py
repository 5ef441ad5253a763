"""Read WIDER FACE: a list of all images, each with its number of faces and a line per face.

    0--Parade/0_Parade_marchingband_1_849.jpg
    1
    449 330 122 149 0 0 0 0 0 0

The numbers are x, y, width, height, and blur, expression, illumination, invalid, occlusion, pose.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_text, read_heads
from pipeline.source.reading.shapes import Shape, build_box, parse_coordinate
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = (
    "text files of an image name, a number of faces and a line x y width height ... for each"
)

_CLASS: Final = "face"
_SUFFIXES: Final = tuple(IMAGE_SUFFIXES)
_FIELD_COUNTS: Final = {4, 10}
"""Numbers of a face: with or without its attributes."""
_INVALID: Final = 7
"""The position of the flag of a face that its annotators could not judge."""

Lines = Sequence[tuple[int, str]]


def matches_folder(folder: Path) -> bool:
    """Look for an image name, a number and a line of 4 or 10 numbers in the first text files."""
    return any(_is_face_list(head.decode("utf-8-sig", "replace")) for head in read_heads(folder, ".txt"))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read the lists of WIDER FACE.

    Raises:
        UserError: There is no list, or no image has an entry.
    """
    texts = {path: text for path in list_files(folder, ".txt") if _is_face_list(text := _load_text(path))}
    if not texts:
        raise UserError(f"no list of WIDER FACE in {folder}: expected {RECOGNIZED_BY}")
    blocks = [(path, block) for path, text in texts.items() for block in _split_blocks(text)]
    entries = [_parse_block(path, block) for path, block in blocks]
    invalid = [sum(_is_invalid(line) for _, line in block[2:]) for _, block in blocks]
    remarks = [f"the lists name no classes: each object is a {_CLASS!r} (data.classes renames it)"]
    if sum(invalid):
        faces, images = format_count(sum(invalid), "face"), format_count(sum(map(bool, invalid)), "image")
        remarks.append(f"{faces} marked as invalid in {images}: left out; the images are used")
    source = assemble_source(folder, entries, MatchingOptions(ImageIndex(list_images(folder))), remarks)
    return read_boxes_as_stated(source, "extent", options.labels)


def _load_text(path: Path) -> str:
    try:
        return load_text(path)[0]
    except UnreadableFileError:
        return ""


def _is_face_list(text: str) -> bool:
    """Check the first lines: an image, a number of faces, and a face or the next image."""
    lines = [line.strip() for line in text[:2000].splitlines() if line.strip()][:3]
    if len(lines) < 2 or not _is_image_name(lines[0]) or not lines[1].isdecimal():
        return False
    return len(lines) < 3 or _is_image_name(lines[2]) or _is_face_line(lines[2])


def _is_image_name(line: str) -> bool:
    return line.lower().endswith(_SUFFIXES)


def _is_face_line(line: str) -> bool:
    fields = line.split()
    return len(fields) in _FIELD_COUNTS and all(
        field.lstrip("-").replace(".", "", 1).isdecimal() for field in fields
    )


def _split_blocks(text: str) -> Iterator[Lines]:
    """Yield the numbered lines of each image: its name, its number of faces, its faces."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if _is_image_name(stripped) and block:
            yield block
            block = []
        if stripped:
            block.append((number, stripped))
    if block:
        yield block


def _parse_block(path: Path, block: Lines) -> ImageAnnotations:
    """Read the faces of one image.

    For an image without faces the list states 0, and yet has a line of zeros.
    """
    (_, name), *rest = block
    stated = rest[0][1] if rest else ""
    if not stated.isdecimal():
        return ImageAnnotations(path, (name,), fault=f"{stated[:40]!r} is no number of faces")
    faces = [] if int(stated[:9]) == 0 and len(rest) == 2 and _is_zero_line(rest[1][1]) else rest[1:]
    notes = []
    if int(stated[:9]) != len(faces):
        found = f"{format_count(len(faces), 'line')} of faces, but {stated[:9]} are stated"
        notes.append(AnnotationNote(int(stated[:9]) > len(faces), found, "malformed"))
    rows = [(f"line {number}", line) for number, line in faces if not _is_invalid(line)]
    objects, face_notes = collect_objects(rows, _parse_face)
    return ImageAnnotations(path, (name,), objects, (*notes, *face_notes))


def _is_zero_line(line: str) -> bool:
    return set(line.split()) == {"0"}


def _is_invalid(line: str) -> bool:
    fields = line.split()
    return len(fields) == max(_FIELD_COUNTS) and fields[_INVALID] == "1"


def _parse_face(line: str) -> tuple[str, Shape]:
    fields = line.split()
    if len(fields) not in _FIELD_COUNTS:
        raise ValueError(f"not 4 or 10 numbers: {line[:60]!r}")
    x, y, width, height = map(parse_coordinate, fields[:4])
    return _CLASS, build_box((x, y, x + width, y + height))
