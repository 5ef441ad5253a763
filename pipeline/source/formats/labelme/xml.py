"""Read the XML of the LabelMe web tool: Annotations/*.xml, Images/, and Masks/ for mask objects."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from pipeline.source.formats.masks.values import decode_object_mask
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.parsing import UnreadableFileError, describe_unusable_annotation, load_xml
from pipeline.source.reading.shapes import Shape, build_box, build_outline, parse_class_name, parse_ring
from pipeline.source.reading.trace_mask import trace_mask_outline


def is_labelme_xml(head: bytes) -> bool:
    """Check the beginning of a file; VOC looks similar but has bndbox."""
    return b"<annotation" in head and (b"<pt>" in head or b"<segm>" in head) and b"<bndbox>" not in head


def read_xml_file(path: Path, folder: Path) -> ImageAnnotations | None:
    """Read one file; return None if it is another kind of XML."""
    try:
        root = load_xml(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, (path.stem,), fault=describe_unusable_annotation(path, error))
    if root.tag != "annotation" or root.find("object/bndbox") is not None:
        return None
    stated = f"{root.findtext('folder') or ''}/{(root.findtext('filename') or '').strip()}".strip("/")
    is_same_stem = PurePosixPath(stated.replace("\\", "/")).stem == path.stem
    items = [(f"object {number}", item) for number, item in enumerate(root.findall("object"), 1)]
    kept = [(mark, item) for mark, item in items if (item.findtext("deleted") or "0").strip() != "1"]
    objects, notes = collect_objects(kept, lambda item: _parse_object(item, path, folder))
    names = (stated, path.stem) if is_same_stem else (path.stem, stated)
    return ImageAnnotations(path, names, objects, notes, size=_image_size(root))


def _parse_object(item: Element, path: Path, folder: Path) -> tuple[str, Shape]:
    label = parse_class_name(item.findtext("name"))
    if (segment := item.find("segm")) is not None:
        return label, _trace_mask_file(segment, path, folder)
    ring = parse_ring([[pt.findtext("x"), pt.findtext("y")] for pt in item.findall("polygon/pt")])
    if (item.findtext("type") or "").strip() == "bounding_box":
        return label, build_box([*ring.min(axis=0), *ring.max(axis=0)])
    return label, build_outline(ring)


def _trace_mask_file(segment: Element, path: Path, folder: Path) -> Shape:
    """Outline a mask file; its folder is that of the annotation, with Masks/ for Annotations/."""
    name = PurePosixPath((segment.findtext("mask") or "").replace("\\", "/")).name
    folders = path.parent.relative_to(folder).parts
    mask = folder.joinpath(*("Masks" if part == "Annotations" else part for part in folders)) / name
    try:
        data = mask.read_bytes() if name else b""
    except OSError as error:
        raise ValueError(f"its mask {name} cannot be read ({error.strerror})") from None
    return trace_mask_outline(decode_object_mask(data))


def _image_size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(root.findtext(f"imagesize/{side}") or 0) for side in ("ncols", "nrows"))
    except ValueError:
        return None
    return (width, height) if min(width, height) > 0 else None
