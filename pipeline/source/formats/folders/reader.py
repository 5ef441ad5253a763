"""Read classification folders: `<split>/<class>/*.jpg` or `<class>/*.jpg`; the folder's name is the class."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.core.text import format_count
from pipeline.source.reading.file_tree import (
    IMAGE_SUFFIXES,
    format_relative_path,
    iterate_files,
    list_images,
    list_subfolders,
)
from pipeline.source.types import DEFAULT_OPTIONS, AnnotatedImage, ReadOptions, Source, find_split_in_name

RECOGNIZED_BY: Final = "a folder of images per class, below train/, val/ and test/ or not"

_NON_CLASS_NAMES: Final = frozenset(
    {"images", "image", "imgs", "img", "labels", "label", "labeltxt", "annotations", "annotation", "masks"}
    | {"mask", "jpegimages", "imagesets", "segmentationclass", "segmentationobject", "data", "samples"}
)
"""Folder names of other formats."""
_ANNOTATION_SUFFIXES: Final = frozenset({".json", ".xml", ".txt", ".csv", ".yaml", ".yml"})
_MAX_CHECKED_FILES: Final = 200


class ClassFolder(NamedTuple):
    """The folder of one class, and its split."""

    folder: Path
    name: str
    split: str | None


def matches_folder(folder: Path) -> bool:
    """Check for two or more class folders: no folder name of another format, and mostly images in them."""
    parts = list(_find_class_folders(folder))
    names = {part.name for part in parts}
    if (
        len(names) < 2
        or all(map(find_split_in_name, names))
        or {name.lower() for name in names} & _NON_CLASS_NAMES
    ):
        return False
    checked = [path for part in parts for path in islice(iterate_files(part.folder), _MAX_CHECKED_FILES)]
    suffixes = [path.suffix.lower() for path in checked]
    annotations = sum(suffix in _ANNOTATION_SUFFIXES for suffix in suffixes)
    return sum(suffix in IMAGE_SUFFIXES for suffix in suffixes) > 2 * annotations


def read_folder(folder: Path, _options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read classification folders.

    Raises:
        UserError: Fewer than two classes have images.
    """
    parts = list(_find_class_folders(folder))
    files = [(path, part) for part in parts for path in sorted(iterate_files(part.folder))]
    images = [(path, part) for path, part in files if path.suffix.lower() in IMAGE_SUFFIXES]
    names = tuple(sorted({part.name for _, part in images}))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise UserError(f"no class folders with images in {folder}: expected two or more, found {found}")
    other_files = sorted({path for path, _ in files} - {path for path, _ in images})
    unclassified = sorted(set(list_images(folder)) - {path for path, _ in images})
    defects = [
        Finding(format_relative_path(path, folder), "quarantined", "not an image") for path in other_files
    ]
    defects += [
        Finding(format_relative_path(path, folder), "quarantined", "lies in no class folder")
        for path in unclassified
    ]
    built = tuple(_build_image(path, part, folder=folder, names=names) for path, part in images)
    return Source(names, built, tuple(defects), tuple(_build_remarks(parts, images)), task="classify")


def _build_image(path: Path, part: ClassFolder, *, folder: Path, names: tuple[str, ...]) -> AnnotatedImage:
    whole_image = RawObjects(
        np.array([names.index(part.name)], np.int64), np.array([[0.0, 0.0, 1.0, 1.0]]), ("folder",)
    )
    return AnnotatedImage(path, format_relative_path(path, folder), part.split, whole_image, normalized=True)


def _build_remarks(parts: list[ClassFolder], images: list[tuple[Path, ClassFolder]]) -> Iterator[str]:
    names = {part.name for _, part in images}
    for name in sorted({part.name for part in parts} - names):
        yield f"the folder {name} holds no images: it is no class"
    if deeper := sum(path.parent != part.folder for path, part in images):
        yield f"{format_count(deeper, 'image')} in folders within a class folder: counted for the outer one"


def _find_class_folders(folder: Path) -> Iterator[ClassFolder]:
    """Yield the folders in the split folders; if there is no split folder, all folders."""
    outer = list_subfolders(folder)
    splits = [path for path in outer if _is_split_folder(path)]
    for path in splits:
        yield from (
            _build_class_folder(inner, find_split_in_name(path.name)) for inner in list_subfolders(path)
        )
    if not splits:
        yield from (_build_class_folder(path, None) for path in outer)


def _build_class_folder(folder: Path, split: str | None) -> ClassFolder:
    return ClassFolder(folder, format_relative_path(folder, folder.parent), split)


def _is_split_folder(folder: Path) -> bool:
    """Distinguish train/ from a class called `train station`: a split holds folders, not images."""
    if not find_split_in_name(folder.name) or not list_subfolders(folder):
        return False
    return folder.name.isalpha() or not list_images(folder, deep=False)
