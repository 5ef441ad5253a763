"""Annotations of one image, before the image file is found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.reading.shapes import AnnotatedObject, Shape, build_object

Row = TypeVar("Row")


class ImageAnnotations(NamedTuple):
    """The annotations of one image in one annotation file.

    Attributes:
        file: The annotation file.
        names: Possible names of the image file, the most likely first.
        objects: The annotated objects.
        notes: Findings about single objects.
        size: Width and height in pixels, if stated.
        split: The split, if stated.
        fault: Why the annotation cannot be used; empty if it can.
        normalized: Coordinates are fractions of the image size, 0 to 1; else pixels.
        columns: Further columns of a table, by name.
        load: Extracts the encoded image from the bytes of `file`, if the image may be embedded there.
    """

    file: Path
    names: tuple[str, ...]
    objects: tuple[AnnotatedObject, ...] = ()
    notes: tuple[AnnotationNote, ...] = ()
    size: tuple[int, int] | None = None
    split: str | None = None
    fault: str = ""
    normalized: bool = False
    columns: Mapping[str, str] = {}
    load: Callable[[bytes], bytes] | None = None


def collect_objects(
    rows: Iterable[tuple[str, Row]], parse: Callable[[Row], tuple[str, Shape]]
) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    """Parse one object from each row; a row that cannot be parsed becomes a finding.

    Args:
        rows: The name of each row in reports, such as `region 2`, and the row.
        parse: Returns the class as it is spelled and the shape of a row; raises ValueError if it cannot.
    """
    found, notes = [], []
    for mark, row in rows:
        try:
            label, shape = parse(row)
            if shape.kind == "outline" and not shape.parts:
                raise ValueError("an empty mask")
        except ValueError as error:
            notes.append(AnnotationNote(True, f"{mark}: {error}", "malformed"))
            continue
        found.append(build_object(label, shape, mark))
        if shape.holes:
            holes = format_count(shape.holes, "hole is", "holes are")
            notes.append(AnnotationNote(False, f"{mark}: {holes} filled, for labels have none", "hole"))
    return tuple(found), tuple(notes)
