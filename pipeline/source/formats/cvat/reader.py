"""CVAT XML: one file for many images, `for images` (an element each) or `for video` (tracks over frames)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from pipeline.core.errors import UserError
from pipeline.source.formats.cvat.shapes import draw
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in, relative
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, files, heads, load_xml
from pipeline.source.types import Source, split_of

LOOKED_FOR: Final = "XML with annotations of images or tracks"

_NO_OBJECTS: Final = {"attribute"}


def recognises(folder: Path) -> bool:
    """Look into the first XML files."""
    return any(
        b"<annotations" in head and (b"<meta" in head or b"<image" in head) for head in heads(folder, ".xml")
    )


def read(folder: Path) -> Source:
    """Read a CVAT dataset.

    Raises:
        Refused: There is no such XML, one cannot be read, or no image has an annotation.
    """
    roots = {path: root for path in files(folder, ".xml") if (root := _root(path, folder)) is not None}
    if not roots:
        raise UserError(f"no CVAT annotations in {folder}: expected {LOOKED_FOR}")
    entries = [
        entry for path, root in roots.items() for entry in (*_images(path, root), *_frames(path, root))
    ]
    order = tuple(name for root in roots.values() for name in _declared(root))
    return gather(folder, entries, MatchingOptions(ImageIndex(images_in(folder)), order=order))


def _root(path: Path, folder: Path) -> Element | None:
    """Read a file if it is one of CVAT's."""
    try:
        root = load_xml(path)
    except UnreadableFileError as error:
        raise UserError(f"{folder / relative(path, folder)} {error}: mend it or remove it") from None
    return root if root.tag == "annotations" else None


def _declared(root: Element) -> Iterator[str]:
    """Yield the labels in their order, those of a skeleton's points apart."""
    for label in root.iterfind("meta//labels/label"):
        name = (label.findtext("name") or "").strip()
        if name and not (label.findtext("parent") or "").strip():
            yield name


def _images(path: Path, root: Element) -> Iterator[ImageAnnotations]:
    for image in root.iterfind("image"):
        name, subset = image.get("name") or "", image.get("subset") or ""
        rows = [
            (f"{item.tag} {number}", item)
            for number, item in enumerate(image, 1)
            if item.tag not in _NO_OBJECTS
        ]
        found, notes = collect(rows, draw)
        names = (f"{subset}/{name}", name) if subset else (name,)
        yield ImageAnnotations(path, names, found, notes, size=_size(image), split=split_of(subset))


def _frames(path: Path, root: Element) -> Iterator[ImageAnnotations]:
    """Yield the frames of a video in which something is tracked, or has left the picture."""
    rows: dict[int, list[tuple[str, Element, str]]] = defaultdict(list)
    for track in root.iterfind("track"):
        mark, label = f"track {track.get('id')}", track.get("label") or ""
        for item in track:
            if (frame := _whole(item.get("frame"))) is not None:
                rows[frame].append((mark, item, label))
    size = _original(root)
    for frame, tracked in sorted(rows.items()):
        present = [(mark, (item, label)) for mark, item, label in tracked if item.get("outside") != "1"]
        found, notes = collect(present, lambda row: draw(row[0], row[1]))
        yield ImageAnnotations(path, (f"frame_{frame:06d}.png",), found, notes, size=size)


def _size(image: Element) -> tuple[int, int] | None:
    width, height = _whole(image.get("width")), _whole(image.get("height"))
    return (width, height) if width and height else None


def _original(root: Element) -> tuple[int, int] | None:
    found = root.find("meta//original_size")
    if found is None:
        return None
    width, height = _whole(found.findtext("width")), _whole(found.findtext("height"))
    return (width, height) if width and height else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() and len(text) < 10 else None
