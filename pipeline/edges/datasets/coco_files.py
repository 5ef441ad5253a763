"""The annotation files of a COCO dataset: which there are, and which describe objects."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.refusal import Refused
from pipeline.edges.datasets.source import files_of, folders_in, head_of, relative

_LISTS: Final = re.compile(rb'"(images|categories)"\s*:\s*\[')
_TAIL: Final = 65_536
_FEW: Final = 20
_KEYS: Final = ("images", "annotations", "categories")
_USUAL: Final = ("_annotations.coco", "instances", "person_keypoints", "keypoints", "stuff")
"""What files of objects are called; the first kind that is there is read, since others repeat it."""


class Found(NamedTuple):
    """The files that are read, and remarks on those that are not."""

    files: dict[Path, dict[str, Any]]
    remarks: tuple[str, ...]


def recognises(folder: Path) -> bool:
    """Tell by the beginning and the end of the first JSON files: an object with `images` or `categories`."""
    return any(_looks_like(path) for place in _places(folder) for path in files_of(place, ".json")[:_FEW])


def find(folder: Path) -> Found:
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
        raise Refused(
            f"no COCO annotations in {folder}: expected annotations/*.json or */_annotations.coco.json"
        )
    left = ", ".join(relative(path, folder) for path in found if path not in files)
    return Found(files, (f"not read, since other files describe the objects: {left}",) if left else ())


def _places(folder: Path) -> list[Path]:
    return [folder, *folders_in(folder)]


def _load(path: Path) -> dict[str, Any] | None:
    """Read a file if it describes objects in images; captions and other JSON are none of ours."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise Refused(f"{path} is no JSON ({error}): mend it or remove it") from None
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
