"""DOTA: a text file per image, a rotated box per line as `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.text import format_count
from pipeline.source.reading import shapes
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in, relative
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, files, first_lines, load_text, unusable
from pipeline.source.reading.shapes import Shape
from pipeline.source.types import Source

LOOKED_FOR: Final = "text files of x1 y1 x2 y2 x3 y3 x4 y4 class difficult"

_HEADERS: Final = ("imagesource", "gsd", "acquisition")
_UPRIGHT: Final = re.compile(r"reclabeltxt|^hbb$", re.IGNORECASE)


def recognises(folder: Path) -> bool:
    """Look for a line of eight numbers and a name in the first text files."""
    return any(map(_is_object, first_lines(folder, ".txt")))


def read(folder: Path) -> Source:
    """Read a DOTA dataset.

    Raises:
        Refused: No annotation has an image.
    """
    pictures = ImageIndex(images_in(folder))
    entries, difficult = [], 0
    texts, remarks = _rotated(files(folder, ".txt"), folder)
    for path in texts:
        lines, fault = _lines(path)
        if (
            not fault
            and lines
            and not any(_is_object(line) for _, line in lines)
            and not _named(path, pictures)
        ):
            continue  # a list of classes, or a readme
        found, notes = collect(lines, _draw)
        difficult += sum(line.split()[-1] in {"1", "2"} for _, line in lines if len(line.split()) == 10)
        entries.append(ImageAnnotations(path, (path.stem,), found, notes, fault=fault))
    if difficult:
        remarks.append(f"{format_count(difficult, 'object')} marked as difficult: used as any other")
    return gather(folder, entries, MatchingOptions(pictures, each=True), remarks)


def _rotated(texts: list[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Leave out the upright boxes that DOTA has beside the rotated ones, and say so."""
    upright = [path for path in texts if _UPRIGHT.search(path.parent.name)]
    rotated = [path for path in texts if not _UPRIGHT.search(path.parent.name)]
    if {path.stem for path in rotated}.isdisjoint(path.stem for path in upright):
        return texts, []
    places = ", ".join(sorted({relative(path.parent, folder) for path in upright}))
    return rotated, [f"{places} holds upright boxes beside the rotated ones: left aside"]


def _named(path: Path, pictures: ImageIndex) -> bool:
    return pictures.find((path.stem,), near=path.parent).image is not None


def _lines(path: Path) -> tuple[list[tuple[str, str]], str]:
    """Return the lines that stand for objects, or why the file cannot be read."""
    try:
        text, _ = load_text(path)
    except UnreadableFileError as error:
        return [], unusable(path, error)
    marked = ((f"line {number}", line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(mark, line) for mark, line in marked if line and not line.lower().startswith(_HEADERS)], ""


def _is_object(line: str) -> bool:
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


def _draw(line: str) -> tuple[str, Shape]:
    fields = line.split()
    if len(fields) not in {9, 10}:
        raise ValueError(f"not eight numbers and a class: {line[:60]!r}")
    ring = [shapes.number(value) for value in fields[:8]]
    return shapes.named(fields[8]), shapes.corners(np.array(ring).reshape(4, 2))
