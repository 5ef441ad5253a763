"""A source of labelled images, as its annotations describe it: nothing is checked against the images yet."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.boxes import Note, Raw
from pipeline.core.defects import Defect
from pipeline.core.tasks import Keypoints, Task

SUFFIXES: Final = frozenset(
    {
        ".avif",
        ".bmp",
        ".dng",
        ".gif",
        ".heic",
        ".heif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".png",
        ".tif",
        ".tiff",
    }
    | {".webp"}
)
"""What is taken for an image; whether training can read it is found out when it is opened."""

_SPLITS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_HELD_OUT_FIRST: Final = ("test", "val", "train")


class Annotated(NamedTuple):
    """One image and what its annotation says.

    Attributes:
        path: The image file.
        source: Its name in reports: relative to the source folder, parts separated by slashes.
        split: Where the source puts it; None where it does not say.
        raw: Its objects.
        scaled: Boxes are shares of the image rather than pixels.
        size: Width and height that the annotation states, if it does.
        notes: What the reader found about single objects, or mended.
        fault: Why the image must not be used, if so.
    """

    path: Path
    source: str
    split: str | None
    raw: Raw
    scaled: bool = False
    size: tuple[int, int] | None = None
    notes: tuple[Note, ...] = ()
    fault: str = ""


class Source(NamedTuple):
    """A whole source.

    Attributes:
        names: Class names by index.
        images: One entry per image file.
        defects: Findings about other files, such as a label without an image.
        remarks: What the user should know of how the source was read, a sentence each.
        task: The richest task that the annotations serve.
        keypoints: The points of a pose, where the annotations have them.
    """

    names: tuple[str, ...]
    images: tuple[Annotated, ...]
    defects: tuple[Defect, ...] = ()
    remarks: tuple[str, ...] = ()
    task: Task = "detect"
    keypoints: Keypoints | None = None


def split_of(name: str) -> str | None:
    """Find train, val or test among the words of a folder's or file's name, such as `instances_val2017`."""
    found = [_SPLITS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in _SPLITS]
    return found[0] if found else None


def held_out(splits: Iterable[str | None]) -> str | None:
    """Choose among the splits that claim one image: test before val before train, so that nothing leaks."""
    claims = set(splits)
    return next((split for split in _HELD_OUT_FIRST if split in claims), None)


def relative(path: Path, root: Path) -> str:
    """Name a file relative to the source folder; bytes that are no UTF-8 are spelled out."""
    name = Path(os.path.relpath(path, root)).as_posix()
    return os.fsencode(name).decode(errors="backslashreplace")


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """List the image files in a folder, sorted; hidden ones (`._x.jpg`) are none."""
    return sorted(path for path in _files(folder, deep) if path.suffix.lower() in SUFFIXES)


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.is_dir() and deep:
            yield from _files(path, deep)
        elif path.is_file():
            yield path
