"""Parse one XML file of Pascal VOC: the objects of an image, and notes on invalid ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException

from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.parsing import parse_xml
from pipeline.source.reading.shapes import AnnotatedObject, Shape, build_box, build_outline

_CORNER_TAGS: Final = ("xmin", "ymin", "xmax", "ymax")
_POINT_TAG: Final = re.compile(r"[xy]\d+")
_MAX_COORDINATE: Final = 1e9


def read_voc_xml(file: Path) -> ImageAnnotations:
    """Read an XML file; if it cannot be read, the annotations have a fault.

    The image has the name of the XML file, else the name stated in it: if images are renamed together with
    their XML files, the stated name remains the old one.
    """
    try:
        root = parse_xml(file.read_bytes())
    except DefusedXmlException:
        fault = f"its annotation {file.name} declares XML entities, which can be used to attack a reader"
        return ImageAnnotations(file, (file.stem,), fault=fault)
    except (ParseError, OSError, ValueError, LookupError, RecursionError) as error:
        return ImageAnnotations(file, (file.stem,), fault=f"its annotation {file.name} is no XML ({error})")
    objects: list[AnnotatedObject] = []
    notes: list[AnnotationNote] = []
    for number, item in enumerate(root.findall("object"), 1):
        found, object_notes = _parse_object(item, f"object {number}")
        objects += [found] if found else []
        notes += object_notes
    stated, stem = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2], file.stem
    names = (stated, stem) if PurePosixPath(stated).stem == stem else (stem, stated)
    return ImageAnnotations(file, names, tuple(objects), tuple(notes), size=_image_size(root))


def _parse_object(item: Element, mark: str) -> tuple[AnnotatedObject | None, list[AnnotationNote]]:
    """Return the object, None if it is invalid; and a note on what was corrected, or why it is invalid."""
    name = item.findtext("name") or ""  # blanks are removed when all names are known
    polygons = item.findall("polygon")
    parts = tuple(part for part in map(_parse_polygon, polygons) if part is not None) if polygons else ()
    corners = _parse_corners(item)
    fault = "" if name.strip() else "no name"
    if corners is None and not parts:
        fault = fault or "no bndbox of four numbers"
    if corners and (corners[0] == corners[2] or corners[1] == corners[3]):
        fault = fault or "no area: " + _format_corners(corners)
    if fault:
        return None, [AnnotationNote(True, f"{mark}: {fault}", "no-area" if "area" in fault else "malformed")]
    if corners is None:
        return AnnotatedObject(name, build_outline(*parts), mark), []
    is_inverted = corners[0] > corners[2] or corners[1] > corners[3]
    box = _shift_to_zero(corners)
    shape = Shape("outline", parts, stated_box=box) if parts else build_box(box)
    note = AnnotationNote(
        False, f"{mark}: corners in the wrong order: {_format_corners(corners)}", "inverted"
    )
    return AnnotatedObject(name, shape, mark), [note] if is_inverted else []


def _shift_to_zero(corners: list[float]) -> tuple[float, ...]:
    """Convert VOC corners, which count pixels from 1, to coordinates from 0.

    Minima go down by one. Maxima stay: the far edge of pixel k is at coordinate k. A minimum of 0 is invalid
    in VOC, but some tools write it: it is the image edge.
    """
    x1, y1, x2, y2 = corners
    left, top = min(x1, x2), min(y1, y2)
    return left - 1 if left else 0.0, top - 1 if top else 0.0, max(x1, x2), max(y1, y2)


def _parse_corners(item: Element) -> list[float] | None:
    boxes = item.findall("bndbox")
    try:
        corners = [float(_find_text(name, boxes) or "") for name in _CORNER_TAGS]
    except ValueError:
        return None
    x1, y1, x2, y2 = corners  # without a loop for speed; NaN fails the comparisons
    is_valid = (
        -_MAX_COORDINATE < x1 < _MAX_COORDINATE
        and -_MAX_COORDINATE < y1 < _MAX_COORDINATE
        and -_MAX_COORDINATE < x2 < _MAX_COORDINATE
        and -_MAX_COORDINATE < y2 < _MAX_COORDINATE
    )
    return corners if is_valid else None


def _find_text(name: str, items: Sequence[Element]) -> str | None:
    """Return the first text of a tag in several elements; faster than `findtext` with a path."""
    for item in items:
        if (text := item.findtext(name)) is not None:
            return text
    return None


def _parse_polygon(item: Element) -> FloatArray | None:
    """Parse `<x1>..</x1><y1>..</y1>...`, which counts from 1, or LabelMe's `<pt><x>..</x><y>..</y></pt>`."""
    labelme = item.findall("pt")
    texts = [text for pt in labelme for text in (pt.findtext("x"), pt.findtext("y"))]
    texts = texts or [child.text for child in item if _POINT_TAG.fullmatch(child.tag)]
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        return None
    if len(values) < 6 or len(values) % 2 or not all(abs(value) < _MAX_COORDINATE for value in values):
        return None
    return np.array(values).reshape(-1, 2) - (0 if labelme else 1)


def _format_corners(corners: list[float]) -> str:
    return " ".join(f"{value:.6g}" for value in corners)


def _image_size(root: Element) -> tuple[int, int] | None:
    try:
        sizes = root.findall("size")
        width, height = (int(float(_find_text(side, sizes) or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
