"""Pascal VOC: Annotations/*.xml and JPEGImages/, with ImageSets/Main/*.txt as a split; or <split>/*.xml.

supervision turns an annotation into boxes. It gives up on the whole dataset at the first object that it
cannot read, exchanges reversed corners in silence and makes a box of equal corners one pixel wide; these, and
XML without image or image without XML, are found by hand before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse
from supervision.dataset.formats.pascal_voc import detections_from_xml_obj

from pipeline.core.boxes import Note, Raw
from pipeline.core.defects import Defect
from pipeline.core.refusal import Refused
from pipeline.edges.datasets.image_sets import listed
from pipeline.edges.datasets.source import Annotated, Source, images_in, relative, split_of

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images", ".")


class Part(NamedTuple):
    """A folder of XML files, the folder of their images, and the split both stand for."""

    annotations: Path
    images: Path
    split: str | None


class Parsed(NamedTuple):
    """One XML file: class names and boxes of its objects, and what it says of its image."""

    names: tuple[str, ...] = ()
    boxes: tuple[tuple[float, ...], ...] = ()
    marks: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    notes: tuple[Note, ...] = ()
    fault: str = ""
    file_name: str = ""


def read(folder: Path) -> Source:
    """Read a Pascal VOC dataset.

    Raises:
        Refused: There are no annotations, or those of several datasets.
    """
    root = _root(folder)
    splits, remarks = listed(root / "ImageSets" / "Main")
    found, defects = [], []
    for part in _parts(root):
        pairs, lone = _pair(part, folder)
        defects += lone
        for image, parsed in pairs:
            found.append((image, part.split or splits.get(image.stem), parsed))
    names = tuple(sorted({name for _, _, parsed in found for name in parsed.names}))
    images = tuple(
        _image(image, split, parsed, names)._replace(source=relative(image, folder))
        for image, split, parsed in found
    )
    return Source(names, images, tuple(defects), remarks)


def _root(folder: Path) -> Path:
    """Find the folder that holds Annotations/: the source itself, or the only one in it."""
    if (folder / "Annotations").is_dir() or any(_parts(folder)):
        return folder
    inner = sorted(path.parent for path in folder.glob("*/Annotations") if path.is_dir())
    if len(inner) > 1:
        raise Refused(
            f"{folder} holds several VOC datasets: set data.source to one of them, such as {inner[0]}"
        )
    if not inner:
        raise Refused(f"no VOC annotations in {folder}: expected Annotations/*.xml and JPEGImages/")
    return inner[0]


def _parts(root: Path) -> Iterator[Part]:
    if (root / "Annotations").is_dir():
        images = next(root / name for name in _IMAGE_FOLDERS if (root / name).is_dir())
        yield Part(root / "Annotations", images, None)
        return
    for path in sorted(root.iterdir()):
        if path.is_dir() and split_of(path.name) and any(path.glob("*.xml")):
            yield Part(path, path, split_of(path.name))


def _pair(part: Part, folder: Path) -> tuple[list[tuple[Path, Parsed]], list[Defect]]:
    """Bring XML and images together: by the file's own name, or else by the name that the XML states.

    The file's own name first: images are renamed together with their XML, and the name inside stays behind.
    """
    images = images_in(part.images, deep=False)
    by_stem = {image.stem: image for image in reversed(images)}
    by_name = {image.name: image for image in images}
    pairs: dict[Path, Parsed] = {}
    defects = []
    for file in sorted(part.annotations.glob("*.xml")):
        parsed = _parse(file)
        image = by_stem.get(file.stem) or by_name.get(parsed.file_name)
        if image is None or image in pairs:
            reason = (
                "an annotation without an image" if image is None else f"a second annotation of {image.name}"
            )
            defects.append(Defect(relative(file, folder), "quarantined", reason))
        else:
            pairs[image] = parsed
    bare = sorted(set(images) - set(pairs))
    defects += [
        Defect(relative(image, folder), "quarantined", "an image without an annotation") for image in bare
    ]
    return list(pairs.items()), defects


def _image(image: Path, split: str | None, parsed: Parsed, names: tuple[str, ...]) -> Annotated:
    classes = np.array([names.index(name) for name in parsed.names], np.int64)
    raw = Raw(classes, np.array(parsed.boxes, np.float64).reshape(-1, 4), parsed.marks)
    return Annotated(image, "", split, raw, size=parsed.size, notes=parsed.notes, fault=parsed.fault)


def _parse(file: Path) -> Parsed:
    try:
        root = parse(file).getroot()
    except DefusedXmlException:
        return Parsed(
            fault=f"its annotation {file.name} declares XML entities, which can be used to attack a reader"
        )
    except (ParseError, OSError, ValueError) as error:
        return Parsed(fault=f"its annotation {file.name} is no XML ({error})")
    notes, marks = [], []
    for number, item in enumerate(root.findall("object"), 1):
        mark = f"object {number}"
        fault, mended = _fault(item), _reversed(item)
        if fault:
            root.remove(item)
            notes.append(Note(True, f"{mark}: {fault}"))
            continue
        marks.append(mark)
        notes += [Note(False, f"{mark}: {mended}")] if mended else []
        for outline in item.findall("polygon"):
            item.remove(outline)  # supervision would draw a mask, which nobody asked for
    names, boxes = _objects(root)
    file_name = Path((root.findtext("filename") or "").replace("\\", "/")).name
    return Parsed(names, boxes, tuple(marks), _size(root), tuple(notes), file_name=file_name)


def _objects(root: Element) -> tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]:
    """Let supervision read the boxes: VOC counts pixels from 1, so minima go down by one, maxima stay.

    A minimum of 0, which VOC does not have but tools write, would go to -1: it is the image's edge.
    """
    found, local = detections_from_xml_obj(root, [], resolution_wh=(1, 1))
    boxes = np.where(found.xyxy == -1, 0, found.xyxy).astype(np.float64)
    return tuple(local[index].strip() for index in found.class_id), tuple(map(tuple, boxes.tolist()))


def _fault(item: Element) -> str:
    if not (item.findtext("name") or "").strip():
        return "no name"
    corners = _corners(item)
    if corners is None:
        return "no bndbox of four numbers"
    if corners[0] == corners[2] or corners[1] == corners[3]:
        return "no area: " + " ".join(f"{value:.6g}" for value in corners)
    return ""


def _corners(item: Element) -> list[float] | None:
    try:
        corners = [float(item.findtext(f"bndbox/{name}") or "") for name in _CORNERS]
    except ValueError:
        return None
    return corners if all(abs(value) < 1e9 for value in corners) else None  # NaN is not less


def _reversed(item: Element) -> str:
    corners = _corners(item)
    if corners is None or (corners[0] <= corners[2] and corners[1] <= corners[3]):
        return ""
    return "corners in the wrong order: " + " ".join(f"{value:.6g}" for value in corners)


def _size(root: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
