"""Where a data.yaml of YOLO says its images are, after it was moved, exported and unpacked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.source.archives.extract import unpacked_in
from pipeline.source.reading.file_tree import exists, images_in
from pipeline.source.reading.parsing import lines_of


def root_of(raw: Mapping[str, Any], file: Path) -> Path:
    """Return the folder of `path:`, or the file's own where there is none or it is gone, as after a move."""
    stated = file.parent / str(raw.get("path") or ".")  # an absolute path replaces the folder
    there = exists(stated) and stated.is_dir() and _within(stated, unpacked_in(file))
    return (stated if there else file.parent).resolve()


def named_images(named: Any, root: Path, file: Path) -> list[Path]:
    """List the images of a folder, a .txt file with a path per line, or several of these."""
    parts = named if isinstance(named, list) else [named]
    if not all(isinstance(part, str) for part in parts):
        raise UserError(
            f"{file} has for train, val or test neither a folder, nor a .txt file, nor a list of these"
        )
    return [image for part in parts for image in _part(part, root, file)]


def listed(file: Path, root: Path) -> list[Path]:
    """Read a list of images: relative to the list, or to the dataset, or below a folder that is gone."""
    lines = [line.strip() for line in lines_of(file)]
    return [_place(line, (file.parent, root)) for line in lines if line]


def _part(named: str, root: Path, file: Path) -> list[Path]:
    place = _place(named, (root,))
    if place != file.parent.resolve() and file.parent.resolve().is_relative_to(place):
        raise UserError(
            f"{file} names {named} for images, which the dataset itself lies in: name a folder in it"
        )
    if place.suffix == ".txt" and exists(place):
        return listed(place, root)
    return images_in(place) if exists(place) else []


def _place(named: str, roots: tuple[Path, ...]) -> Path:
    """Return the first place that exists: as it is named, or what is left of it after its outer folders.

    Roboflow writes `../train/images` for `train/images`, CVAT `data/images/x.jpg` for `images/x.jpg`, and a
    file from another machine `/content/set/train/images`.

    Raises:
        Refused: There is none but outside the folder that an archive was unpacked to.
    """
    parts = Path(named.replace("\\", "/")).parts
    tails = [Path(*parts[start:]) for start in range(len(parts)) if parts[start] != ".."]
    places = [root / tail for tail in (Path(named), *tails) for root in roots]
    inside = unpacked_in(roots[-1])
    found = next((place for place in places if exists(place) and _within(place, inside)), None)
    if inside and not found and any(map(exists, places)):
        raise UserError(
            f"the archive's data.yaml or list of images names {named[:200]}, which lies outside the archive: "
            "unpack it yourself if you trust it, and name the folder"
        )
    return found.resolve() if found else roots[-1] / Path(named).name


def _within(place: Path, folder: Path | None) -> bool:
    """Tell whether a place lies in the folder that it must not leave, if there is one."""
    return folder is None or place.resolve().is_relative_to(folder)
