"""Pascal VOC: Annotations/*.xml and JPEGImages/, with ImageSets/Main/*.txt as a split; or <split>/*.xml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.boxes import Raw
from pipeline.core.defects import Defect, Kind
from pipeline.core.refusal import Refused
from pipeline.edges.datasets import voc_objects
from pipeline.edges.datasets.image_sets import listed
from pipeline.edges.datasets.source import (
    Annotated,
    Source,
    by_outlines,
    files_of,
    folders_in,
    head_of,
    images_in,
    relative,
    split_of,
)
from pipeline.edges.datasets.voc_objects import Parsed

LOOKED_FOR: Final = "Annotations/*.xml, or XML files beside the images"

_XML_FOLDERS: Final = ("annotations", "annotation", "xml", "xmls", "labels")
_IMAGE_FOLDERS: Final = ("jpegimages", "images", "image", "imgs", "img")
_ROOT_ELEMENT: Final = re.compile(rb"<annotation[\s>]")


def recognises(folder: Path) -> bool:
    """Tell by the root element of the first XML files, in the folder or one below."""
    parts = [part for place in (folder, *folders_in(folder)) for part in _parts(place)]
    found = [path for part in parts for path in files_of(part.annotations, ".xml")[:3]]
    return any(_ROOT_ELEMENT.search(head_of(path)) for path in found)


class Part(NamedTuple):
    """A folder of XML files, the folder of their images, and the split both stand for."""

    annotations: Path
    images: Path
    split: str | None


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
    names = tuple(sorted({item.name for _, _, parsed in found for item in parsed.objects}))
    images = tuple(
        _image(image, split, parsed, names)._replace(source=relative(image, folder))
        for image, split, parsed in found
    )
    task, mixed = by_outlines(images)
    return Source(names, images, tuple(defects), (*remarks, *mixed), task)


def _root(folder: Path) -> Path:
    """Find the folder that holds the annotations: the source itself, or the only one in it."""
    if any(_parts(folder)):
        return folder
    inner = [path for path in folders_in(folder) if any(_parts(path))]
    if len(inner) > 1:
        raise Refused(
            f"{folder} holds several VOC datasets: set data.source to one of them, such as {inner[0]}"
        )
    if not inner:
        raise Refused(f"no VOC annotations in {folder}: expected Annotations/*.xml and JPEGImages/")
    return inner[0]


def _parts(root: Path) -> Iterator[Part]:
    """Yield the XML folders of the source itself, or of each of its splits."""
    whole = _part(root, None)
    if whole:
        yield whole
        return
    splits = [(path, split_of(path.name)) for path in folders_in(root)]
    yield from (part for path, split in splits if split and (part := _part(path, split)))


def _part(place: Path, split: str | None) -> Part | None:
    """Find the XML files of one folder: in Annotations/, in images/, or in the folder itself."""
    inner = {path.name.lower(): path for path in folders_in(place)}
    images = next((inner[name] for name in _IMAGE_FOLDERS if name in inner), place)
    candidates = [*(inner[name] for name in _XML_FOLDERS if name in inner), images, place]
    chosen = next((path for path in candidates if files_of(path, ".xml")), None)
    if chosen is None:
        return None
    return Part(chosen, images if images_in(images, deep=False) else place, split)


def _pair(part: Part, folder: Path) -> tuple[list[tuple[Path, Parsed]], list[Defect]]:
    """Bring XML and images together: by the file's own name, or else by the name that the XML states.

    The file's own name first: images are renamed together with their XML, and the name inside stays behind.
    """
    images = images_in(part.images, deep=False)
    by_stem = {image.stem: image for image in reversed(images)}
    by_name = {image.name: image for image in images}
    pairs: dict[Path, Parsed] = {}
    defects = []
    files = files_of(part.annotations, ".xml")
    for file in sorted(files, key=lambda file: file.stem not in by_stem):
        parsed = voc_objects.parse(file)
        image = by_stem.get(file.stem) or by_name.get(parsed.file_name)
        if image is None or image in pairs:
            reason = f"a second annotation of {image.name}" if image else "an annotation without an image"
            kind: Kind = "listed-twice" if image else "missing-image"
            defects.append(Defect(relative(file, folder), "quarantined", reason, kind))
        else:
            pairs[image] = parsed
    bare = sorted(set(images) - set(pairs))
    defects += [
        Defect(relative(image, folder), "quarantined", "an image without an annotation", "missing-label")
        for image in bare
    ]
    return list(pairs.items()), defects


def _image(image: Path, split: str | None, parsed: Parsed, names: tuple[str, ...]) -> Annotated:
    found = parsed.objects
    raw = Raw(
        np.array([names.index(item.name) for item in found], np.int64),
        np.array([item.box for item in found], np.float64).reshape(-1, 4),
        tuple(item.mark for item in found),
        tuple(item.parts for item in found) if any(item.parts for item in found) else (),
    )
    return Annotated(image, "", split, raw, size=parsed.size, notes=parsed.notes, fault=parsed.fault)
