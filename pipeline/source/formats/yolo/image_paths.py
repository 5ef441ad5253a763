"""Resolve the image paths of a data.yaml, also after the dataset was moved, exported or unpacked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.errors import UserError
from pipeline.source.archives.extract import find_unpacked_folder
from pipeline.source.reading.file_tree import (
    format_relative_path,
    list_images,
    list_subfolders,
    path_exists,
)
from pipeline.source.reading.parsing import read_lines
from pipeline.source.types import find_split_in_name


class SplitPath(NamedTuple):
    """One path that a data.yaml states for the images of a split.

    Attributes:
        split: train, val or test.
        stated: The path as it is written.
        place: Where it was found or, if nowhere, looked for.
        images: The images that it stands for.
        renamed: The path that was taken for it, if that one has another name.
        prefix: The `path:` of the data.yaml.
    """

    split: str
    stated: str
    place: Path
    images: tuple[Path, ...] = ()
    renamed: str = ""
    prefix: str = ""


def resolve_root(raw: Mapping[str, Any], file: Path) -> Path:
    """Return the folder of `path:`; if it is not stated or does not exist, the folder of the file."""
    stated = file.parent / str(raw.get("path") or ".")  # an absolute path replaces the folder
    is_usable = path_exists(stated) and stated.is_dir() and _is_within(stated, find_unpacked_folder(file))
    return (stated if is_usable else file.parent).resolve()


def find_split_paths(split: str, stated: Any, root: Path, file: Path) -> list[SplitPath]:
    """List the images of a folder, a .txt file with a path per line, or a list of these.

    Raises:
        UserError: `stated` is none of these, or is not allowed.
    """
    parts = stated if isinstance(stated, list) else [stated]
    if not all(isinstance(part, str) for part in parts):
        raise UserError(
            f"train, val or test in {file} is neither a folder, nor a .txt file, nor a list of these: "
            "correct it"
        )
    return [_find_split_path(split, part, root, file) for part in parts]


def read_image_list(file: Path, root: Path) -> list[Path]:
    """Read a list of image paths, relative to the list or to the dataset; outer folders may be missing.

    Ultralytics takes paths as relative to the file that a linked list leads to: it is looked at first.
    """
    lines = [line.strip() for line in read_lines(file)]
    roots = tuple(dict.fromkeys((file.resolve().parent, file.parent, root)))
    paths = [_find_path(line, roots) for line in lines if line]
    places = {place: _place_below(place, root) for place in {path.parent for path in paths}}
    return [places[path.parent] / path.name for path in paths]


def _find_split_path(split: str, stated: str, root: Path, file: Path) -> SplitPath:
    path = _find_path(stated, (root,))
    renamed = ""
    if not path_exists(path) and (similar := _find_similar_path(stated, root)):
        path, renamed = similar, format_relative_path(similar, root)
    path = _place_below(path, root)
    real, place = path.resolve(), file.parent.resolve()
    if real != place and place.is_relative_to(real):
        raise UserError(
            f"{file} states {stated} as the folder of images, but the dataset is inside that folder: "
            "state a folder inside the dataset"
        )
    if not path_exists(path):
        return SplitPath(split, stated, root / stated.replace("\\", "/"))
    images = read_image_list(path, root) if path.suffix == ".txt" else list_images(path)
    return SplitPath(split, stated, path, tuple(images), renamed)


def _find_similar_path(stated: str, root: Path) -> Path | None:
    """Find a folder whose path differs from the stated one in case, or in the word for a split.

    A data.yaml may name `../valid/images` where the folder is `Validate/Images`.
    """
    parts = [part for part in Path(stated.replace("\\", "/")).parts if part not in {"..", "/"}]
    tails = (parts[start:] for start in range(len(parts)))
    return next((found for tail in tails if (found := _walk_similar_names(root, tail))), None)


def _walk_similar_names(root: Path, parts: list[str]) -> Path | None:
    place = root
    for part in parts:
        folders = {path.name: path for path in list_subfolders(place)}
        cased = [path for name, path in folders.items() if name.casefold() == part.casefold()]
        split = find_split_in_name(part)
        same_split = [path for name, path in folders.items() if split and find_split_in_name(name) == split]
        found = [folders[part]] if part in folders else cased or same_split
        if len(found) != 1:
            return None
        place = found[0]
    return place if parts else None


def _find_path(stated: str, roots: tuple[Path, ...]) -> Path:
    """Return the first path that exists: the stated one, else the same without some of its outer folders.

    Roboflow writes `../train/images` for `train/images`, CVAT `data/images/x.jpg` for `images/x.jpg`, and a
    file from another machine `/content/set/train/images`.

    Returns:
        An absolute path without `..`. A link is not followed: the labels of an image lie beside the link.

    Raises:
        UserError: The only path that exists is outside the folder of an unpacked archive.
    """
    parts = Path(stated.replace("\\", "/")).parts
    tails = [Path(*parts[start:]) for start in range(len(parts)) if parts[start] != ".."]
    candidates = [root / tail for tail in (Path(stated), *tails) for root in roots]
    unpacked = find_unpacked_folder(roots[-1])
    found = next((path for path in candidates if path_exists(path) and _is_within(path, unpacked)), None)
    if unpacked and not found and any(map(path_exists, candidates)):
        raise UserError(
            f"the data.yaml or a list of images in the archive names {stated[:200]}, which is outside the "
            "archive: if you trust it, unpack it yourself and set data.source to the folder"
        )
    return _remove_parent_parts(found) if found else roots[-1] / Path(stated).name


def _remove_parent_parts(path: Path) -> Path:
    """Return an absolute path without `..`; only the folders before the last `..` are resolved."""
    parts = path.parts
    if ".." not in parts:
        return path.absolute()
    after = len(parts) - parts[::-1].index("..")
    return Path(*parts[:after]).resolve().joinpath(*parts[after:])


def _place_below(path: Path, root: Path) -> Path:
    """Return a path that leads through a link to the root as one below the root; any other one as it is.

    An image has one path then, however a list or a data.yaml spells it, and a name that is relative to the
    root. Links below the root are not followed.
    """
    start = root.absolute()
    if path.is_relative_to(start):
        return path
    real = os.path.realpath(root)
    place = next(
        (place for place in reversed((path, *path.parents)) if os.path.realpath(place) == real), None
    )
    return start / path.relative_to(place) if place else path


def _is_within(path: Path, folder: Path | None) -> bool:
    """Check that a path is inside a folder; None allows any path."""
    return folder is None or path.resolve().is_relative_to(folder)
