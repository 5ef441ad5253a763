"""Read classification folders: `<split>/<class>/*.jpg` or `<class>/*.jpg`; the folder's name is the class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.text import format_count
from pipeline.source.formats.folders.class_folders import (
    ClassFolder,
    explain_unlabelled_folders,
    iterate_class_folders,
)
from pipeline.source.formats.folders.evidence import find_doubt
from pipeline.source.formats.masks.mask_content import classify_content
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, list_images
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    AnnotatedImage,
    ReadOptions,
    Source,
    describe_lone_split,
)

RECOGNIZED_BY: Final = "a folder of images per class, below train/, val/ and test/ or not"

_MAX_SAMPLED_CLASSES: Final = 10
"""With more classes, images are not looked at."""
_NOTHING: Final = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())


def matches_folder(folder: Path) -> bool:
    """Check for two or more folders with images that nothing shows to be something else than classes."""
    return not find_doubt(list(iterate_class_folders(folder)))


def read_folder(folder: Path, _options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read classification folders.

    Raises:
        UserError: Fewer than two classes have images.
    """
    parts = list(iterate_class_folders(folder))
    files = [(path, part) for part in parts for path in sorted(iterate_files(part.folder))]
    images = [(path, part) for path, part in files if path.suffix.lower() in IMAGE_SUFFIXES]
    if lone_remarks := describe_lone_split([part.split for _, part in images]):
        images = [(path, part._replace(split=None)) for path, part in images]
    names = tuple(sorted({part.name for _, part in images if not part.is_unlabelled}))
    if len(names) < 2:
        found = f"only {names[0]!r}" if names else "none"
        others = explain_unlabelled_folders(part for _, part in images)
        raise UserError(
            f"no class folders with images in {folder}: expected two or more, found {found}"
            f"{f'; {others}' if others else ''}"
        )
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
    return Source(
        names, built, tuple(defects), (*lone_remarks, *_build_remarks(parts, images)), task="classify"
    )


def _build_image(path: Path, part: ClassFolder, *, folder: Path, names: tuple[str, ...]) -> AnnotatedImage:
    found = AnnotatedImage(path, format_relative_path(path, folder), part.split, _NOTHING, normalized=True)
    if part.is_unlabelled:
        note = AnnotationNote(False, f"lies in the folder {part.name}: has no class", "missing-label")
        return found._replace(notes=(note,))
    whole_image = RawObjects(
        np.array([names.index(part.name)], np.int64), np.array([[0.0, 0.0, 1.0, 1.0]]), ("folder",)
    )
    return found._replace(raw=whole_image)


def _build_remarks(parts: list[ClassFolder], images: list[tuple[Path, ClassFolder]]) -> Iterator[str]:
    names = {part.name for _, part in images}
    for name in sorted({part.name for part in parts} - names):
        yield f"the folder {name} holds no images: it is no class"
    for name in sorted({part.name for _, part in images if part.is_unlabelled}):
        yield f"the folder {name} is taken for images without a class: if it is a class, rename the folder"
    yield from _describe_masks(images)
    if deeper := sum(path.parent != part.folder for path, part in images):
        yield f"{format_count(deeper, 'image')} in folders within a class folder: counted for the outer one"


def _describe_masks(images: list[tuple[Path, ClassFolder]]) -> Iterator[str]:
    """Name the classes whose images look like masks, if those of others look like photos."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path, part in images:
        if not part.is_unlabelled:
            by_name[part.name].append(path)
    if len(by_name) > _MAX_SAMPLED_CLASSES:
        return
    kinds = {
        name: {classify_content(path).kind for path in (paths[0], paths[len(paths) // 2])}
        for name, paths in by_name.items()
    }
    masks = sorted(name for name, found in kinds.items() if found == {"mask"})
    if masks and any(found == {"photo"} for found in kinds.values()):
        yield (
            f"the images in {', '.join(masks)} look like masks, those in other folders like photos: "
            "check that they are classes"
        )
