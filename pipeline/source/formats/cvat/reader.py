"""Read CVAT XML: one file for many images, `for images` (an element each) or `for video` (tracks)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from pipeline.core.errors import UserError
from pipeline.source.formats.cvat.shapes import parse_cvat_shape
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import format_relative_path, list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_xml, read_heads
from pipeline.source.reading.shapes import remove_blanks
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source, find_split_in_name

RECOGNIZED_BY: Final = "XML with annotations of images or tracks"

_IGNORED_TAGS: Final = {"attribute"}
_FRAME_NAME: Final = re.compile(r"frame_(\d{6,9})$")


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first XML files."""
    return any(
        b"<annotations" in head and (b"<meta" in head or b"<image" in head)
        for head in read_heads(folder, ".xml")
    )


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a CVAT dataset.

    Raises:
        UserError: There is no CVAT XML, a file cannot be read, or no image has an annotation.
    """
    roots = {
        path: root for path in list_files(folder, ".xml") if (root := _load_root(path, folder)) is not None
    }
    if not roots:
        raise UserError(f"no CVAT annotations in {folder}: expected {RECOGNIZED_BY}")
    images = list_images(folder)
    frames = {int(match[1]) for image in images if (match := _FRAME_NAME.match(image.stem))}
    for path, root in roots.items():
        _refuse_shifted_frames(path, root, frames)
    entries = [
        entry
        for path, root in roots.items()
        for entry in (*_iterate_images(path, root), *_iterate_frames(path, root))
    ]
    order = tuple(name for root in roots.values() for name in _iterate_declared_labels(root))
    layout = MatchingOptions(ImageIndex(images), class_order=order)
    return read_boxes_as_stated(assemble_source(folder, entries, layout), "corners", options.labels)


def _load_root(path: Path, folder: Path) -> Element | None:
    """Parse a file; return None if it is another kind of XML."""
    try:
        root = load_xml(path)
    except UnreadableFileError as error:
        raise UserError(f"{folder / format_relative_path(path, folder)} {error}: fix or remove it") from None
    return root if root.tag == "annotations" else None


def _iterate_declared_labels(root: Element) -> Iterator[str]:
    """Yield the declared labels in their order, without those of skeleton points."""
    for label in root.iterfind("meta//labels/label"):
        name = remove_blanks(label.findtext("name") or "")
        if name and not (label.findtext("parent") or "").strip():
            yield name


def _iterate_images(path: Path, root: Element) -> Iterator[ImageAnnotations]:
    for image in root.iterfind("image"):
        name, subset = image.get("name") or "", image.get("subset") or ""
        rows = [
            (f"{item.tag} {number}", item)
            for number, item in enumerate(image, 1)
            if item.tag not in _IGNORED_TAGS
        ]
        objects, notes = collect_objects(rows, parse_cvat_shape)
        names = (f"{subset}/{name}", name) if subset else (name,)
        split = find_split_in_name(subset)
        yield ImageAnnotations(path, names, objects, notes, size=_image_size(image), split=split)


def _refuse_shifted_frames(path: Path, root: Element, frames: Collection[int]) -> None:
    """Refuse a video whose frames are numbered from 1 on disk, as ffmpeg does: CVAT counts from 0.

    Args:
        path: The file.
        root: Its root.
        frames: The numbers in the names of the images.

    Raises:
        UserError: There is no frame 0, and there is one behind the last one of the video.
    """
    count = _parse_integer(root.findtext("meta//size"))
    if count and root.find("track") is not None and 0 not in frames and count in frames:
        raise UserError(
            f"{path} counts the frames of its video from 0, to {count - 1}, and the images are named from 1, "
            f"to frame_{count:06d}: rename them (ffmpeg -start_number 0 names them so)"
        )


def _iterate_frames(path: Path, root: Element) -> Iterator[ImageAnnotations]:
    """Yield the frames of a video with tracked objects; one with only objects outside has no objects."""
    rows: dict[int, list[tuple[str, Element, str]]] = defaultdict(list)
    for track in root.iterfind("track"):
        mark, label = f"track {track.get('id')}", track.get("label") or ""
        for item in track:
            if (frame := _parse_integer(item.get("frame"))) is not None:
                rows[frame].append((mark, item, label))
    size = _video_size(root)
    for frame, tracked in sorted(rows.items()):
        visible = [(mark, (item, label)) for mark, item, label in tracked if item.get("outside") != "1"]
        objects, notes = collect_objects(visible, lambda row: parse_cvat_shape(row[0], row[1]))
        yield ImageAnnotations(path, (f"frame_{frame:06d}.png",), objects, notes, size=size)


def _image_size(image: Element) -> tuple[int, int] | None:
    width, height = _parse_integer(image.get("width")), _parse_integer(image.get("height"))
    return (width, height) if width and height else None


def _video_size(root: Element) -> tuple[int, int] | None:
    found = root.find("meta//original_size")
    if found is None:
        return None
    width, height = _parse_integer(found.findtext("width")), _parse_integer(found.findtext("height"))
    return (width, height) if width and height else None


def _parse_integer(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdecimal() and len(text) < 10 else None
