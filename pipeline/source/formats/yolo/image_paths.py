"""Resolve the image paths of a data.yaml, also after the dataset was moved, exported or unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.source.archives.extract import find_unpacked_folder
from pipeline.source.reading.file_tree import list_images, path_exists
from pipeline.source.reading.parsing import read_lines


def resolve_root(raw: Mapping[str, Any], file: Path) -> Path:
    """Return the folder of `path:`; if it is not stated or does not exist, the folder of the file."""
    stated = file.parent / str(raw.get("path") or ".")  # an absolute path replaces the folder
    is_usable = path_exists(stated) and stated.is_dir() and _is_within(stated, find_unpacked_folder(file))
    return (stated if is_usable else file.parent).resolve()


def list_split_images(stated: Any, root: Path, file: Path) -> list[Path]:
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
    return [image for part in parts for image in _list_images_of_path(part, root, file)]


def read_image_list(file: Path, root: Path) -> list[Path]:
    """Read a list of image paths, relative to the list or to the dataset; outer folders may be missing."""
    lines = [line.strip() for line in read_lines(file)]
    return [_resolve_path(line, (file.parent, root)) for line in lines if line]


def _list_images_of_path(stated: str, root: Path, file: Path) -> list[Path]:
    path = _resolve_path(stated, (root,))
    if path != file.parent.resolve() and file.parent.resolve().is_relative_to(path):
        raise UserError(
            f"{file} states {stated} as the folder of images, but the dataset is inside that folder: "
            "state a folder inside the dataset"
        )
    if path.suffix == ".txt" and path_exists(path):
        return read_image_list(path, root)
    return list_images(path) if path_exists(path) else []


def _resolve_path(stated: str, roots: tuple[Path, ...]) -> Path:
    """Return the first path that exists: the stated one, else the same without some of its outer folders.

    Roboflow writes `../train/images` for `train/images`, CVAT `data/images/x.jpg` for `images/x.jpg`, and a
    file from another machine `/content/set/train/images`.

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
    return found.resolve() if found else roots[-1] / Path(stated).name


def _is_within(path: Path, folder: Path | None) -> bool:
    """Check that a path is inside a folder; None allows any path."""
    return folder is None or path.resolve().is_relative_to(folder)
