"""Parse one XML file of Pascal VOC: the objects of an image, and notes on invalid ones.

Objects are built in a second step, since all files decide whether pixels are counted from 0 or from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException

from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.source.plausibility.predictions import SCORE_KEYS, parse_score
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.parsing import parse_xml
from pipeline.source.reading.shapes import (
    ROTATED,
    AnnotatedObject,
    Shape,
    build_box,
    build_object,
    build_outline,
    enclose_rotated_box,
)

_CORNER_TAGS: Final = ("xmin", "ymin", "xmax", "ymax")
_POINT_TAG: Final = re.compile(r"[xy]\d+")
_MAX_COORDINATE: Final = 1e9


class VocObject(NamedTuple):
    """One object as an XML file states it.

    Attributes:
        name: The class, with blanks.
        mark: Its name in reports.
        corners: x1 y1 x2 y2, the smaller ones first; None if it has polygons alone.
        rings: The polygons, in coordinates that are counted as those of boxes are.
        edges: Polygons of LabelMe, which are always counted from 0.
        score: How sure a model is, if it has drawn the object.
    """

    name: str
    mark: str
    corners: tuple[float, float, float, float] | None
    rings: tuple[FloatArray, ...] = ()
    edges: tuple[FloatArray, ...] = ()
    score: float | None = None


class VocFile(NamedTuple):
    """One XML file.

    Attributes:
        entry: What it states about the image, without objects.
        objects: The objects.
    """

    entry: ImageAnnotations
    objects: tuple[VocObject, ...] = ()


def read_voc_xml(file: Path) -> VocFile:
    """Read an XML file; if it cannot be read, its annotations have a fault.

    The image has the name of the XML file, else the name stated in it: if images are renamed together with
    their XML files, the stated name remains the old one.
    """
    try:
        root = parse_xml(file.read_bytes())
    except DefusedXmlException:
        fault = f"its annotation {file.name} declares XML entities, which can be used to attack a reader"
        return VocFile(ImageAnnotations(file, (file.stem,), fault=fault))
    except (ParseError, OSError, ValueError, LookupError, RecursionError) as error:
        fault = f"its annotation {file.name} is no XML ({error})"
        return VocFile(ImageAnnotations(file, (file.stem,), fault=fault))
    objects: list[VocObject] = []
    notes: list[AnnotationNote] = []
    for number, item in enumerate(root.findall("object"), 1):
        found, object_notes = _parse_object(item, f"object {number}")
        objects += [found._replace(score=_parse_score(item))] if found else []
        notes += object_notes
    stated, stem = (root.findtext("filename") or "").replace("\\", "/").rpartition("/")[2], file.stem
    names = (stated, stem) if PurePosixPath(stated).stem == stem else (stem, stated)
    return VocFile(ImageAnnotations(file, names, notes=tuple(notes), size=_image_size(root)), tuple(objects))


def build_annotations(file: VocFile, first_pixel: int) -> ImageAnnotations:
    """Build the objects of a file, in coordinates from 0.

    Args:
        file: The file.
        first_pixel: The number of the first pixel: 1 as in VOC, or 0.
    """
    return file.entry._replace(objects=tuple(_build_object(item, first_pixel) for item in file.objects))


def _build_object(item: VocObject, first_pixel: int) -> AnnotatedObject:
    parts = (*(ring - first_pixel for ring in item.rings), *item.edges)
    if item.corners is None:
        return build_object(item.name, build_outline(*parts), item.mark)
    box = _shift_to_zero(item.corners) if first_pixel else item.corners
    shape = Shape("outline", parts, stated_box=box) if parts else build_box(box)
    return build_object(item.name, shape, item.mark)


def _shift_to_zero(corners: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Convert VOC corners, which count pixels from 1, to coordinates from 0.

    Minima go down by one. Maxima stay: the far edge of pixel k is at coordinate k. A minimum of 0 is invalid
    in VOC: a few of them in a dataset that counts from 1 are the image edge.
    """
    left, top, right, bottom = corners
    return left - 1 if left else 0.0, top - 1 if top else 0.0, right, bottom


def _parse_object(item: Element, mark: str) -> tuple[VocObject | None, list[AnnotationNote]]:
    """Return the object, None if it is invalid; and a note on what was corrected, or why it is invalid."""
    name = item.findtext("name") or ""  # blanks are removed when all names are known
    polygons = item.findall("polygon")
    rings, edges = _parse_polygons(polygons) if polygons else ((), ())
    corners = _parse_corners(item)
    fault = "" if name.strip() else "no name"
    if corners is None and not rings and not edges:
        fault = fault or "no bndbox of four numbers"
    if corners and (corners[0] == corners[2] or corners[1] == corners[3]):
        fault = fault or "no area: " + _format_corners(corners)
    if fault:
        return None, [AnnotationNote(True, f"{mark}: {fault}", "no-area" if "area" in fault else "malformed")]
    if corners is None:
        return VocObject(name, mark, None, rings, edges), []
    x1, y1, x2, y2 = corners
    ordered = min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)
    rotation = _find_rotation(item)
    if not (rings or edges) and (around := enclose_rotated_box(ordered, rotation)):
        note = AnnotationNote(False, f"{mark}: rotated by {rotation} degrees: {ROTATED}")
        return VocObject(name, mark, around), [note]
    found = VocObject(name, mark, ordered, rings, edges)
    if x1 <= x2 and y1 <= y2:
        return found, []
    reason = f"{mark}: corners in the wrong order: {_format_corners(corners)}"
    return found, [AnnotationNote(False, reason, "inverted")]


def _find_rotation(item: Element) -> str | None:
    """Return the rotation of a box in degrees, which CVAT writes among the attributes."""
    named = (each for each in item.iterfind("attributes/attribute") if each.findtext("name") == "rotation")
    return next((each.findtext("value") for each in named), None)


def _parse_score(item: Element) -> float | None:
    texts = {key: item.findtext(key) for key in SCORE_KEYS} if len(item) else {}
    return next((score for text in texts.values() if text and (score := parse_score(text)) is not None), None)


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


def _parse_polygons(items: Sequence[Element]) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Parse `<x1>..</x1><y1>..</y1>...`, and LabelMe's `<pt><x>..</x><y>..</y></pt>` apart from them."""
    rings: list[FloatArray] = []
    edges: list[FloatArray] = []
    for item in items:
        points = item.findall("pt")
        texts = [text for pt in points for text in (pt.findtext("x"), pt.findtext("y"))]
        ring = _parse_ring(texts or [child.text for child in item if _POINT_TAG.fullmatch(child.tag)])
        if ring is not None:
            (edges if points else rings).append(ring)
    return tuple(rings), tuple(edges)


def _parse_ring(texts: Sequence[str | None]) -> FloatArray | None:
    try:
        values = [float(text or "") for text in texts]
    except ValueError:
        return None
    if len(values) < 6 or len(values) % 2 or not all(abs(value) < _MAX_COORDINATE for value in values):
        return None
    return np.array(values).reshape(-1, 2)


def _format_corners(corners: list[float]) -> str:
    return " ".join(f"{value:.6g}" for value in corners)


def _image_size(root: Element) -> tuple[int, int] | None:
    try:
        sizes = root.findall("size")
        width, height = (int(float(_find_text(side, sizes) or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
