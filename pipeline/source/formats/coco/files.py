"""The annotation files of a COCO dataset: which there are, which describe objects, what they leave out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.core.text import format_count
from pipeline.source.reading.file_tree import files_of, folders_in, head_of, relative
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.types import split_of

_LISTS: Final = re.compile(rb'"(images|categories)"\s*:\s*\[')
_TAIL: Final = 65_536
_FEW: Final = 20
_KEYS: Final = ("images", "annotations", "categories")
_USUAL: Final = ("_annotations.coco", "instances", "person_keypoints", "keypoints", "stuff")
"""What files of objects are called; the first kind that is there is read, since others repeat it."""


class CocoFiles(NamedTuple):
    """The files that are read, and remarks on those that are not."""

    files: dict[Path, dict[str, Any]]
    remarks: tuple[str, ...]


def recognises(folder: Path) -> bool:
    """Tell by the beginning and the end of the first JSON files: an object with `images` or `categories`."""
    return any(_looks_like(path) for place in _places(folder) for path in files_of(place, ".json")[:_FEW])


def find(folder: Path) -> CocoFiles:
    """Find the annotation files; where there are several kinds (captions, key points), those of one.

    Raises:
        Refused: There is none, or one that is no JSON.
    """
    found = [path for place in _places(folder) for path in files_of(place, ".json")]
    chosen = found
    for usual in _USUAL:
        if some := [path for path in found if path.name.startswith(usual)]:
            chosen = some
            break
    files = {path: data for path in chosen if (data := _load(path))}
    if not files:
        raise UserError(
            f"no COCO annotations in {folder}: expected annotations/*.json or */_annotations.coco.json"
        )
    left = ", ".join(relative(path, folder) for path in found if path not in files)
    return CocoFiles(files, (f"not read, since other files describe the objects: {left}",) if left else ())


def left_aside(entries: Mapping[Path, Any], pictures: ImageIndex, folder: Path) -> list[str]:
    """Say which folders hold images of which no file lists any, such as those of a test without labels."""
    if len(entries) == len(pictures.all):
        return []
    listed = {path.parent for path in entries}
    others = [path for path in pictures.all if path.parent not in listed]
    places = ", ".join(sorted({f"{relative(path.parent, folder)}/" for path in others}))
    number = format_count(len(others), "image")
    return [f"{number} in {places} where no annotation file lists any: left aside"] if others else []


def unlisted(entries: Mapping[Path, Any], pictures: ImageIndex, folder: Path) -> list[Finding]:
    """Name the images beside listed ones that no file lists: nobody says that nothing is on them."""
    others = [path for path in pictures.all if path not in entries]
    beside = {path.parent for path in entries} if others else set()
    return [
        Finding(relative(path, folder), "quarantined", "not listed in any annotation file", "unlisted-image")
        for path in sorted(others, key=lambda path: (path.parent, path))
        if path.parent in beside
    ]


def _places(folder: Path) -> list[Path]:
    inner = folders_in(folder)
    return [folder, *inner, *(path / "annotations" for path in inner if split_of(path.name))]


def _load(path: Path) -> dict[str, Any] | None:
    """Read a file if it describes objects in images; captions and other JSON are none of ours."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({error}): mend it or remove it") from None
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in _KEYS):
        return None
    data |= {key: [row for row in data[key] if isinstance(row, dict)] for key in _KEYS}
    shaped = any({"bbox", "segmentation"} & set(row) for row in data["annotations"])
    return data if shaped or not data["annotations"] else None


def _looks_like(path: Path) -> bool:
    head = head_of(path)
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") and bool(_LISTS.search(head + _tail(path)))


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL), os.SEEK_SET)
            return file.read()
    except OSError:
        return b""
