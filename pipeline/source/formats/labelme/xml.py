"""The XML of LabelMe's web tool: Annotations/*.xml, Images/, and Masks/ for objects that are masks."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final
from xml.etree.ElementTree import Element

from pipeline.source.formats.masks.values import covered
from pipeline.source.reading import shapes
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.parsing import UnreadableFileError, load_xml, unusable
from pipeline.source.reading.shapes import Shape
from pipeline.source.reading.trace_mask import trace

_OF_ANNOTATIONS: Final = {"Masks", "Scribbles"}
"""Folders whose images are part of the annotations."""


def recognises(head: bytes) -> bool:
    """Tell by the beginning of a file: VOC, which looks alike, has bndbox."""
    return b"<annotation" in head and (b"<pt>" in head or b"<segm>" in head) and b"<bndbox>" not in head


def is_mask(path: Path, folder: Path) -> bool:
    """Tell an image that is part of an annotation."""
    return not _OF_ANNOTATIONS.isdisjoint(path.relative_to(folder).parts[:-1])


def entry(path: Path, folder: Path) -> ImageAnnotations | None:
    """Read one file; nothing where it is another kind of XML."""
    try:
        root = load_xml(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, (path.stem,), fault=unusable(path, error))
    if root.tag != "annotation" or root.find("object/bndbox") is not None:
        return None
    stated = f"{root.findtext('folder') or ''}/{(root.findtext('filename') or '').strip()}".strip("/")
    own = PurePosixPath(stated.replace("\\", "/")).stem == path.stem
    items = [(f"object {number}", item) for number, item in enumerate(root.findall("object"), 1)]
    present = [(mark, item) for mark, item in items if (item.findtext("deleted") or "0").strip() != "1"]
    found, notes = collect(present, lambda item: _draw(item, path, folder))
    names = (stated, path.stem) if own else (path.stem, stated)
    return ImageAnnotations(path, names, found, notes, size=_size(root))


def _draw(item: Element, path: Path, folder: Path) -> tuple[str, Shape]:
    label = shapes.named(item.findtext("name"))
    if (segment := item.find("segm")) is not None:
        return label, _mask(segment, path, folder)
    ring = shapes.ring([[pt.findtext("x"), pt.findtext("y")] for pt in item.findall("polygon/pt")])
    if (item.findtext("type") or "").strip() == "bounding_box":
        return label, shapes.box([*ring.min(axis=0), *ring.max(axis=0)])
    return label, shapes.outline(ring)


def _mask(segment: Element, path: Path, folder: Path) -> Shape:
    """Outline a mask file; it lies in Masks/ where the annotation lies in Annotations/."""
    name = PurePosixPath((segment.findtext("mask") or "").replace("\\", "/")).name
    place = path.parent.relative_to(folder).parts
    masks = folder.joinpath(*("Masks" if part == "Annotations" else part for part in place)) / name
    try:
        data = masks.read_bytes() if name else b""
    except OSError as error:
        raise ValueError(f"its mask {name} cannot be read ({error.strerror})") from None
    return trace(covered(data))


def _size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(root.findtext(f"imagesize/{side}") or 0) for side in ("ncols", "nrows"))
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None
