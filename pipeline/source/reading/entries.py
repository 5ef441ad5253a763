"""What an annotation file says of one image, before it is known which image that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.reading.shapes import AnnotatedObject, Shape

Row = TypeVar("Row")


class ImageAnnotations(NamedTuple):
    """What one annotation file says of one image.

    Attributes:
        file: The annotation file.
        names: What the image may be called, the most likely first.
        objects: What is on it.
        notes: Findings about single objects.
        size: Width and height, where stated.
        split: Where stated.
        fault: Why the annotation cannot be used, if so.
        scaled: Objects are drawn in shares of the image rather than pixels.
        columns: Further columns of a table.
        load: Takes the image out of the bytes of `file`, where it may be held within.
    """

    file: Path
    names: tuple[str, ...]
    objects: tuple[AnnotatedObject, ...] = ()
    notes: tuple[AnnotationNote, ...] = ()
    size: tuple[int, int] | None = None
    split: str | None = None
    fault: str = ""
    scaled: bool = False
    columns: Mapping[str, str] = {}
    load: Callable[[bytes], bytes] | None = None


def collect(
    rows: Iterable[tuple[str, Row]], draw: Callable[[Row], tuple[str, Shape]]
) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    """Draw each row's object; one that cannot be drawn becomes a finding.

    Args:
        rows: What each is called in reports, and what the annotation says.
        draw: Returns the class and the shape, or raises ValueError.
    """
    found, notes = [], []
    for mark, row in rows:
        try:
            label, shape = draw(row)
            if shape.kind == "outline" and not shape.parts:
                raise ValueError("an empty mask")
        except ValueError as error:
            notes.append(AnnotationNote(True, f"{mark}: {error}", "malformed"))
            continue
        found.append(AnnotatedObject(label, shape, mark))
        if shape.holes:
            holes = format_count(shape.holes, "hole is", "holes are")
            notes.append(AnnotationNote(False, f"{mark}: {holes} filled, for labels have none", "hole"))
    return tuple(found), tuple(notes)
