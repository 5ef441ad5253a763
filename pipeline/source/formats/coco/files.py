"""Find the annotation files of a COCO dataset, and the images that they do not list."""

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
from pipeline.source.reading.file_tree import (
    format_relative_path,
    list_folder_files,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.types import find_split_in_name

_LIST_KEYS: Final = re.compile(rb'"(images|categories)"\s*:\s*\[')
_TAIL_BYTES: Final = 65_536
_MAX_CHECKED_FILES: Final = 20
_REQUIRED_KEYS: Final = ("images", "annotations", "categories")
_OBJECT_FILE_NAMES: Final = ("_annotations.coco", "instances", "person_keypoints", "keypoints", "stuff")
"""Starts of the names of files with objects. Only the first kind found is read: the others repeat it."""


class CocoFiles(NamedTuple):
    """The parsed annotation files, and remarks on files that are not read."""

    files: dict[Path, dict[str, Any]]
    remarks: tuple[str, ...]


def has_coco_json(folder: Path) -> bool:
    """Check the start and end of the first JSON files for an object with `images` or `categories`."""
    return any(
        _is_coco_json(path)
        for place in _list_annotation_folders(folder)
        for path in list_folder_files(place, ".json")[:_MAX_CHECKED_FILES]
    )


def find_coco_files(folder: Path) -> CocoFiles:
    """Find and parse the annotation files; of several kinds (instances, keypoints), only one is read.

    Raises:
        UserError: There is no annotation file, or one is not valid JSON.
    """
    found = [path for place in _list_annotation_folders(folder) for path in list_folder_files(place, ".json")]
    chosen = found
    for start in _OBJECT_FILE_NAMES:
        if of_kind := [path for path in found if path.name.startswith(start)]:
            chosen = of_kind
            break
    files = {path: data for path in chosen if (data := _load_file(path))}
    if not files:
        raise UserError(
            f"no COCO annotations in {folder}: expected annotations/*.json or */_annotations.coco.json"
        )
    unread = ", ".join(format_relative_path(path, folder) for path in found if path not in files)
    remark = f"not read, since other files describe the objects: {unread}"
    return CocoFiles(files, (remark,) if unread else ())


def describe_unlisted_folders(
    entries: Mapping[Path, Any], image_index: ImageIndex, folder: Path
) -> list[str]:
    """Describe the folders with no listed image, such as a test set without labels."""
    if len(entries) == len(image_index.images):
        return []
    listed = {path.parent for path in entries}
    others = [path for path in image_index.images if path.parent not in listed]
    folders = ", ".join(sorted({f"{format_relative_path(path.parent, folder)}/" for path in others}))
    number = format_count(len(others), "image")
    return [f"{number} in {folders} where no annotation file lists any: left aside"] if others else []


def find_unlisted_images(entries: Mapping[Path, Any], image_index: ImageIndex, folder: Path) -> list[Finding]:
    """Report unlisted images in folders with listed ones; they are not assumed to be background."""
    others = [path for path in image_index.images if path not in entries]
    listed_folders = {path.parent for path in entries} if others else set()
    return [
        Finding(
            format_relative_path(path, folder),
            "quarantined",
            "not listed in any annotation file",
            "unlisted-image",
        )
        for path in sorted(others, key=lambda path: (path.parent, path))
        if path.parent in listed_folders
    ]


def _list_annotation_folders(folder: Path) -> list[Path]:
    inner = list_subfolders(folder)
    return [folder, *inner, *(path / "annotations" for path in inner if find_split_in_name(path.name))]


def _load_file(path: Path) -> dict[str, Any] | None:
    """Read a file; return None if it does not describe objects in images, as captions do not."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}): fix or remove it") from None
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in _REQUIRED_KEYS):
        return None
    data |= {key: [row for row in data[key] if isinstance(row, dict)] for key in _REQUIRED_KEYS}
    has_shapes = any({"bbox", "segmentation"} & set(row) for row in data["annotations"])
    return data if has_shapes or not data["annotations"] else None


def _is_coco_json(path: Path) -> bool:
    head = read_head(path)
    is_object = head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")
    return is_object and bool(_LIST_KEYS.search(head + _read_tail(path)))


def _read_tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES), os.SEEK_SET)
            return file.read()
    except OSError:
        return b""
