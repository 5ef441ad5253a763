"""Find the class folders of a source: `<class>`, `<split>/<class>` or `<class>/<split>`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.reading.file_tree import format_relative_path, list_images, list_subfolders
from pipeline.source.types import find_split_in_name

_UNLABELLED_NAME: Final = re.compile(r"no[ _-]?labels?", re.IGNORECASE)
"""CVAT and Datumaro write the images without a label into a folder called no_label."""


class ClassFolder(NamedTuple):
    """The folder of one class, and its split."""

    folder: Path
    name: str
    split: str | None

    @property
    def is_unlabelled(self) -> bool:
        """Return whether the folder is no class, but holds the images without one."""
        return _UNLABELLED_NAME.fullmatch(self.name) is not None


def iterate_class_folders(folder: Path) -> Iterator[ClassFolder]:
    """Yield the folders in the split folders; if there is no split folder, all folders."""
    outer = list_subfolders(folder)
    splits = [path for path in outer if _is_split_folder(path)]
    for path in splits:
        yield from (
            _build_class_folder(inner, find_split_in_name(path.name)) for inner in list_subfolders(path)
        )
    if not splits:
        for path in outer:
            yield from _split_class_folder(path)


def explain_unlabelled_folders(parts: Iterable[ClassFolder]) -> str:
    """Say which folders are no classes by their name, if they may be some; empty if there are none."""
    names = sorted({part.name for part in parts if part.is_unlabelled})
    if not names:
        return ""
    return f"the folder {names[0]} is taken for images without a class: rename it if it is one"


def _split_class_folder(folder: Path) -> Iterator[ClassFolder]:
    """Yield the split folders in a class folder, if all that it holds are splits; else the folder itself."""
    inner = list_subfolders(folder)
    are_splits = len(inner) > 1 and all(
        path.name.isalpha() and find_split_in_name(path.name) for path in inner
    )
    if are_splits and not list_images(folder, deep=False):
        name = format_relative_path(folder, folder.parent)
        yield from (ClassFolder(path, name, find_split_in_name(path.name)) for path in inner)
    else:
        yield _build_class_folder(folder, None)


def _build_class_folder(folder: Path, split: str | None) -> ClassFolder:
    return ClassFolder(folder, format_relative_path(folder, folder.parent), split)


def _is_split_folder(folder: Path) -> bool:
    """Distinguish train/ from a class called `train station`: a split holds folders, not images."""
    if not find_split_in_name(folder.name) or not list_subfolders(folder):
        return False
    return folder.name.isalpha() or not list_images(folder, deep=False)
