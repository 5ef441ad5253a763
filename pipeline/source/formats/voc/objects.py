"""One XML file of Pascal VOC: the objects of an image, and what cannot be read of them."""

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
from pipeline.source.reading import shapes
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.parsing import parse_xml
from pipeline.source.reading.shapes import AnnotatedObject, Shape

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")
_POINT: Final = re.compile(r"[xy]\d+")
_MOST: Final = 1e9


def entry(file: Path) -> ImageAnnotations:
    """Read an XML file; one that cannot be read has a fault.

    The image bears the file's own name, or else the one that is stated: images are renamed together with
    their XML, and the name inside stays behind.
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
        found, noted = _object(item, f"object {number}")
        objects += [found] if found else []
        notes += noted
    stated, own = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2], file.stem
    names = (stated, own) if PurePosixPath(stated).stem == own else (own, stated)
    return ImageAnnotations(file, names, tuple(objects), tuple(notes), size=_size(root))


def _object(item: Element, mark: str) -> tuple[AnnotatedObject | None, list[AnnotationNote]]:
    """Return an object, or none; and what is mended, or why it is none."""
    name = (item.findtext("name") or "").strip()
    polygons = item.findall("polygon")
    parts = tuple(part for part in map(_outline, polygons) if part is not None) if polygons else ()
    corners = _corners(item)
    fault = "" if name else "no name"
    if corners is None and not parts:
        fault = fault or "no bndbox of four numbers"
    if corners and (corners[0] == corners[2] or corners[1] == corners[3]):
        fault = fault or "no area: " + _text(corners)
    if fault:
        return None, [AnnotationNote(True, f"{mark}: {fault}", "no-area" if "area" in fault else "malformed")]
    if corners is None:
        return AnnotatedObject(name, shapes.outline(*parts), mark), []
    wrong = corners[0] > corners[2] or corners[1] > corners[3]
    box = _from_zero(corners)
    drawn = Shape("outline", parts, around=box) if parts else shapes.box(box)
    reason = f"{mark}: corners in the wrong order: {_text(corners)}" if wrong else ""
    return AnnotatedObject(name, drawn, mark), [AnnotationNote(False, reason, "inverted")] if wrong else []


def _from_zero(corners: list[float]) -> tuple[float, ...]:
    """Count pixels from 0: minima go down by one; maxima, already the far edge of their pixel, stay.

    A minimum of 0, which VOC does not have but tools write, is the image's edge.
    """
    x1, y1, x2, y2 = corners
    left, top = min(x1, x2), min(y1, y2)
    return left - 1 if left else 0.0, top - 1 if top else 0.0, max(x1, x2), max(y1, y2)


def _corners(item: Element) -> list[float] | None:
    boxes = item.findall("bndbox")
    try:
        corners = [float(_first(name, boxes) or "") for name in _CORNERS]
    except ValueError:
        return None
    x1, y1, x2, y2 = corners  # each spelled out: of objects there are many; NaN is not less
    within = -_MOST < x1 < _MOST and -_MOST < y1 < _MOST and -_MOST < x2 < _MOST and -_MOST < y2 < _MOST
    return corners if within else None


def _first(name: str, items: Sequence[Element]) -> str | None:
    """Return what `findtext` does of a path, without looking the path up each time."""
    for item in items:
        if (text := item.findtext(name)) is not None:
            return text
    return None


def _outline(item: Element) -> FloatArray | None:
    """Read `<x1>..</x1><y1>..</y1>...`, which count from 1, or LabelMe's `<pt><x>..</x><y>..</y></pt>`."""
    labelme = item.findall("pt")
    texts = [text for pt in labelme for text in (pt.findtext("x"), pt.findtext("y"))]
    texts = texts or [child.text for child in item if _POINT.fullmatch(child.tag)]
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        return None
    if len(values) < 6 or len(values) % 2 or not all(abs(value) < _MOST for value in values):
        return None
    return np.array(values).reshape(-1, 2) - (0 if labelme else 1)


def _text(corners: list[float]) -> str:
    return " ".join(f"{value:.6g}" for value in corners)


def _size(root: Element) -> tuple[int, int] | None:
    try:
        stated = root.findall("size")
        width, height = (int(float(_first(side, stated) or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
