"""Pascal VOC: Annotations/*.xml and JPEGImages/, with ImageSets/Main/*.txt as a split; or <split>/*.xml."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.source.formats.labelme import xml
from pipeline.source.formats.voc import objects
from pipeline.source.formats.voc.image_sets import listed
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.file_tree import SUFFIXES, files_in, files_of, folders_in, head_of, images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import files
from pipeline.source.types import Source, split_of

LOOKED_FOR: Final = "Annotations/*.xml, or XML files beside the images"

_XML_FOLDERS: Final = ("annotations", "annotation", "xml", "xmls", "labels")
_IMAGE_FOLDERS: Final = ("jpegimages", "images", "image", "imgs", "img")
_MASKS: Final = ("SegmentationClass", "SegmentationObject")
_ROOT_ELEMENT: Final = re.compile(rb"<annotation[\s>]")


def recognises(folder: Path) -> bool:
    """Tell by the root element of the first XML files, in the folder or one below."""
    parts = [part for place in (folder, *folders_in(folder)) for part in _parts(place)]
    found = [head_of(path) for part in parts for path in islice(files_in(part.annotations, ".xml"), 3)]
    return any(_ROOT_ELEMENT.search(head) and not xml.recognises(head) for head in found)


class VocFolder(NamedTuple):
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
    entries, images = [], []
    for part in _parts(root):
        images += [path for path in images_in(part.images) if path.parent.name not in _MASKS]
        for file in files(part.annotations, ".xml"):
            found = objects.entry(file)
            split = part.split or next(filter(None, map(splits.get, map(_stem, found.names))), None)
            entries.append(found._replace(split=split))
    return gather(folder, entries, MatchingOptions(ImageIndex(images), each=True), remarks)


def _stem(name: str) -> str:
    """Return a name as ImageSets lists it."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else name


def _root(folder: Path) -> Path:
    """Find the folder that holds the annotations: the source itself, or the only one in it."""
    if any(_parts(folder)):
        return folder
    inner = [path for path in folders_in(folder) if any(_parts(path))]
    if len(inner) > 1:
        raise UserError(
            f"{folder} holds several VOC datasets: set data.source to one of them, such as {inner[0]}"
        )
    if not inner:
        raise UserError(f"no VOC annotations in {folder}: expected Annotations/*.xml and JPEGImages/")
    return inner[0]


def _parts(root: Path) -> Iterator[VocFolder]:
    """Yield the XML folders of the source itself, or of each of its splits."""
    whole = _part(root, None)
    if whole:
        yield whole
        return
    inner = folders_in(root)
    splits = [(path, split_of(path.name)) for path in inner]
    found = [part for path, split in splits if split and (part := _part(path, split))]
    if not found and any(map(_beside, inner)):
        found = [VocFolder(root, root, None)]
    yield from found


def _beside(place: Path) -> bool:
    """Tell a folder that holds XML files and their images, as labelImg leaves them."""
    return any(b"<bndbox>" in head_of(path) for path in files_of(place, ".xml")[:3]) and bool(
        files_of(place, *SUFFIXES)
    )


def _part(place: Path, split: str | None) -> VocFolder | None:
    """Find the XML files of one folder: in Annotations/, in images/, or in the folder itself."""
    inner = {path.name.lower(): path for path in folders_in(place)}
    images = next((inner[name] for name in _IMAGE_FOLDERS if name in inner), place)
    candidates = [*(inner[name] for name in _XML_FOLDERS if name in inner), images, place]
    chosen = next((path for path in candidates if any(files_in(path, ".xml", deep=path != place))), None)
    if chosen is None:
        return None
    return VocFolder(chosen, images if any(files_in(images, *SUFFIXES)) else place, split)
