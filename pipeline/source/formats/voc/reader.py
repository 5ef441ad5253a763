"""Read Pascal VOC: Annotations/*.xml and JPEGImages/, splits in ImageSets/Main/*.txt; or <split>/*.xml."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.override_text import quote_override_text
from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.labelme.xml import is_labelme_xml
from pipeline.source.formats.voc.objects import build_annotations, read_voc_xml
from pipeline.source.formats.voc.pixel_origin import PixelOrigin, find_pixel_origin
from pipeline.source.plausibility.box_meaning import (
    MAX_DOUBTFUL_SHARE,
    MIN_DOUBTFUL_BOXES,
    read_boxes_as_stated,
)
from pipeline.source.plausibility.predictions import check_object_scores
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import (
    format_relative_path,
    iterate_files,
    list_files,
    list_folder_files,
    list_images,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.split_lists import SplitLists
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source, find_split_in_name

RECOGNIZED_BY: Final = "Annotations/*.xml, or XML files with bndbox beside the images or in another folder"

_XML_FOLDERS: Final = ("annotations", "annotation", "xml", "xmls", "labels")
_IMAGE_FOLDERS: Final = ("jpegimages", "images", "image", "imgs", "img")
_MASK_FOLDERS: Final = ("SegmentationClass", "SegmentationObject")
_MAX_NAMED: Final = 5
_ROOT_ELEMENT: Final = re.compile(rb"<annotation[\s>]")


class VocFolder(NamedTuple):
    """A folder of XML files, the folder of their images, and their split."""

    annotations: Path
    images: Path
    split: str | None


def matches_folder(folder: Path) -> bool:
    """Check the root element of the first XML files, in the folder or in its subfolders."""
    parts = [part for root in _find_datasets(folder) for part in _find_parts(root)]
    files = [path for part in parts for path in islice(iterate_files(part.annotations, ".xml"), 3)]
    return any(map(_is_voc_xml, files))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a Pascal VOC dataset.

    Raises:
        UserError: There are no annotations, those of several datasets or in folders that would be left out,
            or boxes that look misread.
    """
    root = _find_root(folder)
    lists = SplitLists(root / "ImageSets" / "Main")
    files, images = [], []
    parts = _find_parts(root)
    are_splits = len({part.split for part in parts}) > 1
    for part in parts:
        images += [path for path in list_images(part.images) if path.parent.name not in _MASK_FOLDERS]
        paths = list_files(part.annotations, ".xml")
        found = [read_voc_xml(path) for path in paths]
        places = [format_relative_path(path.with_suffix(""), part.annotations) for path in paths]
        if are_splits and part.split:
            splits: list[str | None] = [part.split] * len(found)
        else:
            splits = lists.find_splits(
                (place, *file.entry.names) for place, file in zip(places, found, strict=True)
            )
        files += [
            file._replace(entry=file.entry._replace(split=split))
            for file, split in zip(found, splits, strict=True)
        ]
    unread = _check_unread_files(folder, parts, {file.entry.file for file in files}, set(images))
    scores = [item.score for file in files for item in file.objects]
    remarks = (*lists.list_remarks(), *unread, *check_object_scores(scores, options.predictions, folder))
    in_pixels = options.labels in {"auto", "pixels", "pixel_corners"}
    origin = find_pixel_origin(files) if in_pixels else PixelOrigin(0)
    annotations = [build_annotations(file, origin.first) for file in files]
    _refuse_inverted(annotations, options.labels)
    layout = MatchingOptions(ImageIndex(images), one_file_per_image=True)
    source = assemble_source(folder, annotations, layout, (*remarks, *origin.remarks))
    return read_boxes_as_stated(source, "corners", options.labels)


def _refuse_inverted(annotations: Sequence[ImageAnnotations], policy: str) -> None:
    """Stop if many boxes end before they begin: then xmax and ymax hold something else.

    Raises:
        UserError: More than a fifth do.
    """
    notes = [note for found in annotations for note in found.notes if note.kind == "inverted"]
    total = sum(len(found.objects) for found in annotations)
    if policy == "auto" and len(notes) >= MIN_DOUBTFUL_BOXES and len(notes) > MAX_DOUBTFUL_SHARE * total:
        raise UserError(
            f"{len(notes)} of {format_count(total, 'box', 'boxes')} have xmin > xmax or ymin > ymax, such as "
            f"{notes[0].reason}: xmax and ymax look like width and height; correct the annotations (if they "
            "are corners, set data.labels=pixels)"
        )


def _check_unread_files(
    folder: Path, parts: Sequence[VocFolder], files: Collection[Path], images: Collection[Path]
) -> list[str]:
    """Look for XML files of VOC beside those that are read: refuse them, or tell of them if they are copies.

    Args:
        folder: The source folder.
        parts: The folders that are read.
        files: The XML files that are read.
        images: The images that may belong to them.

    Raises:
        UserError: They annotate images that none of the XML files that are read does.
    """
    unread = [path for path in list_files(folder, ".xml") if path not in files and _is_voc_xml(path)]
    if not unread:
        return []
    named = sorted({format_relative_path(path.parent, folder) for path in unread})
    listed = f"{', '.join(named[:_MAX_NAMED])}{' and others' if len(named) > _MAX_NAMED else ''}"
    read = ", ".join(format_relative_path(part.annotations, folder) for part in parts)
    what = f"{format_count(len(unread), 'XML file')} in {listed}"
    if not _have_other_images(unread, folder, files, images):
        return [f"{what} not read, since those in {read} have the same names"]
    raise UserError(
        f"{folder} holds annotations in several folders: those in {read} would be read, and {what} left out; "
        "put each split into a folder train, val or test (others into train), or all XML files into "
        "Annotations/ and all images into JPEGImages/"
    )


def _have_other_images(
    unread: Sequence[Path], folder: Path, files: Collection[Path], images: Collection[Path]
) -> bool:
    """Check for an image that only an unread XML file names, or of its name in a folder beside it."""
    read = {path.stem for path in files}
    others = {path for path in list_images(folder) if path.parent.name not in _MASK_FOLDERS}
    stems = {path.stem for path in others}
    if any(path.stem in stems and path.stem not in read for path in unread):
        return True
    places = {(image.stem, place) for image in others - {*images} for place in image.parents}
    return any(
        (path.stem, place) in places
        for path in unread
        for place in {path.parent, path.parent.parent}
        if place not in {folder, *folder.parents}
    )


def _find_root(folder: Path) -> Path:
    """Find the folder that holds the annotations: the source folder, or the only such folder in it."""
    found = _find_datasets(folder)
    if len(found) > 1:
        paths = ",".join(quote_override_text(str(path)) for path in found)
        raise UserError(
            f"{folder} holds several VOC datasets: set data.source to one of them, such as {found[0]}; if "
            f"they hold different images, {shlex.quote(f'data.source=[{paths}]')} reads them as one"
        )
    if not found:
        raise UserError(f"no VOC annotations in {folder}: expected Annotations/*.xml and JPEGImages/")
    return found[0]


def _find_datasets(folder: Path) -> list[Path]:
    """Find the folders of datasets: by the usual folder names, else by XML files in any folder."""
    if _find_voc_folders(folder):
        return [folder]
    inner = [path for path in list_subfolders(folder) if any(map(_has_images, _find_voc_folders(path)))]
    return inner or ([folder] if any(iterate_files(folder, ".xml")) else [])


def _find_parts(root: Path) -> list[VocFolder]:
    """Find the XML folders of a dataset; else take all its XML files, which are matched to images by name."""
    return _find_voc_folders(root) or [VocFolder(root, root, None)]


def _has_images(part: VocFolder) -> bool:
    return any(iterate_files(part.images, *IMAGE_SUFFIXES))


def _is_voc_xml(path: Path) -> bool:
    head = read_head(path)
    return bool(_ROOT_ELEMENT.search(head)) and not is_labelme_xml(head)


def _find_voc_folders(root: Path) -> list[VocFolder]:
    """Find the XML folder of a dataset, or of each of its splits."""
    unsplit = _find_voc_folder(root, None)
    if unsplit:
        return [unsplit]
    inner = list_subfolders(root)
    splits = [(path, find_split_in_name(path.name)) for path in inner]
    found = [part for path, split in splits if split and (part := _find_split_folder(path, split))]
    if not found and any(map(_has_xml_beside_images, inner)):
        return [VocFolder(root, root, None)]
    return found


def _find_split_folder(folder: Path, split: str) -> VocFolder | None:
    """Find the XML files of a split: in its folder, or in one of the same split in it, as train_zip/train."""
    inner = [path for path in list_subfolders(folder) if find_split_in_name(path.name) == split]
    return next(filter(None, (_find_voc_folder(path, split) for path in (folder, *inner))), None)


def _has_xml_beside_images(folder: Path) -> bool:
    """Check for XML files and images in one folder, as labelImg writes them."""
    has_xml = any(b"<bndbox>" in read_head(path) for path in list_folder_files(folder, ".xml")[:3])
    return has_xml and bool(list_folder_files(folder, *IMAGE_SUFFIXES))


def _find_voc_folder(folder: Path, split: str | None) -> VocFolder | None:
    """Find the XML files of one folder: in Annotations/, in images/, or in the folder itself."""
    inner = {path.name.lower(): path for path in list_subfolders(folder)}
    images = next((inner[name] for name in _IMAGE_FOLDERS if name in inner), folder)
    candidates = [*(inner[name] for name in _XML_FOLDERS if name in inner), images, folder]
    chosen = next(
        (path for path in candidates if any(iterate_files(path, ".xml", deep=path != folder))), None
    )
    if chosen is None:
        return None
    return VocFolder(chosen, images if any(iterate_files(images, *IMAGE_SUFFIXES)) else folder, split)
