"""Classification folders: `<split>/<class>/*.jpg`, or `<class>/*.jpg`; the folder's name is the class."""

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
from pipeline.source.reading.file_tree import SUFFIXES, files_in, folders_in, images_in, relative
from pipeline.source.types import AnnotatedImage, Source, split_of

LOOKED_FOR: Final = "a folder of images per class, below train/, val/ and test/ or not"

_NO_CLASSES: Final = frozenset(
    {"images", "image", "imgs", "img", "labels", "label", "labeltxt", "annotations", "annotation", "masks"}
    | {"mask", "jpegimages", "imagesets", "segmentationclass", "segmentationobject", "data", "samples"}
)
"""Folder names of other layouts."""
_ANNOTATIONS: Final = frozenset({".json", ".xml", ".txt", ".csv", ".yaml", ".yml"})
_LOOKED_AT: Final = 200


class ClassFolder(NamedTuple):
    """A folder of one class, and the split it lies in."""

    folder: Path
    name: str
    split: str | None


def recognises(folder: Path) -> bool:
    """Tell class folders: two or more, no name of another layout, images without annotations in them."""
    parts = list(_parts(folder))
    names = {part.name for part in parts}
    if len(names) < 2 or all(map(split_of, names)) or {name.lower() for name in names} & _NO_CLASSES:
        return False
    looked_at = [path for part in parts for path in islice(files_in(part.folder), _LOOKED_AT)]
    suffixes = [path.suffix.lower() for path in looked_at]
    annotations = sum(suffix in _ANNOTATIONS for suffix in suffixes)
    return sum(suffix in SUFFIXES for suffix in suffixes) > 2 * annotations


def read(folder: Path) -> Source:
    """Read classification folders.

    Raises:
        Refused: There are fewer than two classes with images.
    """
    parts = list(_parts(folder))
    files = [(path, part) for part in parts for path in sorted(files_in(part.folder))]
    images = [(path, part) for path, part in files if path.suffix.lower() in SUFFIXES]
    names = tuple(sorted({part.name for _, part in images}))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        raise UserError(f"no class folders with images in {folder}: expected two or more, found {found}")
    others = sorted({path for path, _ in files} - {path for path, _ in images})
    loose = sorted(set(images_in(folder)) - {path for path, _ in images})
    defects = [Finding(relative(path, folder), "quarantined", "not an image") for path in others]
    defects += [Finding(relative(path, folder), "quarantined", "lies in no class folder") for path in loose]
    taken = tuple(_image(path, part, folder=folder, names=names) for path, part in images)
    return Source(names, taken, tuple(defects), tuple(_remarks(parts, images)), task="classify")


def _image(path: Path, part: ClassFolder, *, folder: Path, names: tuple[str, ...]) -> AnnotatedImage:
    whole = RawObjects(
        np.array([names.index(part.name)], np.int64), np.array([[0.0, 0.0, 1.0, 1.0]]), ("folder",)
    )
    return AnnotatedImage(path, relative(path, folder), part.split, whole, scaled=True)


def _remarks(parts: list[ClassFolder], images: list[tuple[Path, ClassFolder]]) -> Iterator[str]:
    names = {part.name for _, part in images}
    for name in sorted({part.name for part in parts} - names):
        yield f"the folder {name} holds no images: it is no class"
    if deeper := sum(path.parent != part.folder for path, part in images):
        yield f"{format_count(deeper, 'image')} in folders within a class folder: counted for the outer one"


def _parts(folder: Path) -> Iterator[ClassFolder]:
    """Yield the class folders: those in split folders where there are any, or else all."""
    outer = folders_in(folder)
    splits = [path for path in outer if _is_split(path)]
    for path in splits:
        yield from (_part(inner, split_of(path.name)) for inner in folders_in(path))
    if not splits:
        yield from (_part(path, None) for path in outer)


def _part(folder: Path, split: str | None) -> ClassFolder:
    return ClassFolder(folder, relative(folder, folder.parent), split)


def _is_split(folder: Path) -> bool:
    """Tell train/ and validation/ from a class called `train station`: they hold folders, not images."""
    if not split_of(folder.name) or not folders_in(folder):
        return False
    return folder.name.isalpha() or not images_in(folder, deep=False)
