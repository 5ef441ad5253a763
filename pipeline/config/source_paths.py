"""The paths in data.source: one folder or archive, or a list of several. Standard library only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.core.paths import expand_home

DATASET_FILES = (".yaml", ".yml", ".json")
"""Suffixes of files that describe a dataset beside them: a data.yaml, a COCO file."""
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}) | {
    ".avif",
    ".dng",
    ".gif",
    ".heic",
    ".heif",
    ".jfif",
    ".jp2",
    ".mpo",
    ".pgm",
    ".ppm",
}
"""Suffixes of image files, in lower case; whether training can read a file is checked when it is opened."""
_ANNOTATION_FOLDERS = {"annotation", "annotations", "label", "labels"}
"""Beside them may be any folders of images; above others may be a whole disk."""
_MAX_NAMED = 3
"""Sources that a name lists; it counts the others."""


def list_source_paths(source: str | Sequence[str] | None) -> list[str]:
    """Return the paths in data.source as they are written."""
    if source is None:
        return []
    return [source] if isinstance(source, str) else list(source)


def describe_source(source: str | Sequence[str] | None) -> str:
    """Return data.source as messages show it."""
    return ", ".join(list_source_paths(source))


def name_source(source: str | Sequence[str] | None) -> str:
    """Return a short name of data.source: the last part of each path; empty if images are drawn."""
    names = [Path(path).name for path in list_source_paths(source)]
    more = len(names) - _MAX_NAMED
    return "+".join([*names[:_MAX_NAMED], *([f"{more} more"] if more > 0 else [])])


def resolve_source_path(root: Path, path: str) -> Path:
    """Return the path of a source: relative paths start at `root`, `~` is the home folder.

    `~name` stays as it is where there is no user of that name: it is a folder then.
    """
    return root / expand_home(path)


def find_source_folder(path: Path) -> Path:
    """Return the folder that is read for a source: a data.yaml or a COCO file stands for its folder.

    A COCO file in a folder without images, annotations/ or one beside images/, stands for the folder above.
    An archive, and a path that does not exist, is returned as it is.
    """
    if path.suffix.lower() not in DATASET_FILES or not path.is_file():
        return path
    folder = path.parent
    above = folder.parent
    is_beside = folder.name.lower() in _ANNOTATION_FOLDERS or (above / "images").is_dir()
    if path.suffix.lower() != ".json" or not is_beside or not may_hold_images(above) or _holds_image(folder):
        return folder
    return above


def may_hold_images(above: Path) -> bool:
    """Tell whether images may be looked for above a COCO file's folder: not on a whole disk."""
    return above.resolve() not in {Path(above.resolve().anchor), expand_home("~")}


def _holds_image(folder: Path) -> bool:
    return any(
        os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")  # noqa: PTH122
        for _, _, names in os.walk(folder, followlinks=True)
        for name in names
    )


def resolve_sources(root: Path, source: str | Sequence[str] | None) -> dict[str, Path]:
    """Return the folders and archives of data.source by a unique name each; a single one has the name "".

    The names are the folders' own, and start the names of their images in reports. Folders of the same name
    are told apart by the folders that they are in.

    Raises:
        UserError: One of the sources is in another, or is the same.
    """
    paths = [resolve_source_path(root, path) for path in list_source_paths(source)]
    if len(paths) < 2:
        return dict(zip([""], paths, strict=False))
    _refuse_overlap(paths)
    return dict(zip(_choose_names(paths), paths, strict=True))


def _refuse_overlap(paths: Sequence[Path]) -> None:
    for (one, inner), (other, outer) in combinations(((path, path.resolve()) for path in paths), 2):
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise UserError(
                f"data.source names {one} and {other}, and one contains the other: its images would count "
                "twice; name each folder once"
            )


def _choose_names(paths: Sequence[Path]) -> list[str]:
    """Name each path by as many of its last parts as make the name unique."""
    parts = [[part for part in path.resolve().parts if part != os.sep] or ["source"] for path in paths]
    depths = [1] * len(parts)
    while True:
        names = ["_".join(each[-depth:]) for each, depth in zip(parts, depths, strict=True)]
        counts = Counter(name.casefold() for name in names)
        longer = [
            min(depth + (counts[name.casefold()] > 1), len(each))
            for each, depth, name in zip(parts, depths, names, strict=True)
        ]
        if longer == depths:
            return _number_equal_names(names)
        depths = longer


def _number_equal_names(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name.casefold()] += 1
        number = seen[name.casefold()]
        numbered.append(name if number == 1 else f"{name}_{number}")
    return numbered
