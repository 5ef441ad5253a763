"""Notice that files changed, by their lengths and times; nothing is read. Standard library only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.storage.fingerprint import IGNORED_SUFFIXES

_NAMED_FILES: Final = 3
"""Changed files that a message names; it counts the others."""


class ContentStamp(NamedTuple):
    """The length and time of a file's contents, in bytes and nanoseconds.

    The change time is left out: DVC changes it when it links the file somewhere else, too. So is the inode,
    which network disks, FUSE, FAT and exFAT choose anew whenever the system forgets a file. The times of
    data/prepared differ with the contents (see `FileSpec.mtime_ns`).
    """

    length: int
    mtime: int


def stamp_folder(folder: Path) -> dict[str, ContentStamp]:
    """Return the stamp of each file below a folder, by its path as text; empty if there is no folder.

    Links to files are followed, since DVC may link outputs to its cache. What .dvcignore lists does not
    count: label caches of Ultralytics, and files that file managers leave in the folders that they show.
    """
    stamps: dict[str, ContentStamp] = {}
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        for name in _list_names(place):
            if name.endswith(IGNORED_SUFFIXES):
                continue
            path = os.path.join(place, name)  # noqa: PTH118 - for 100,000 images pathlib takes ten times as long
            found = _read_status(path)
            if found is not None and stat.S_ISDIR(found.st_mode):
                waiting.append(path)
            elif found is not None:
                stamps[path] = ContentStamp(found.st_size, found.st_mtime_ns)
    return stamps


def list_changed_files(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return the paths that are new, missing or have another stamp, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def name_first_files(paths: Iterable[str]) -> str:
    """Name up to three files, and count the others: `a.jpg, b.jpg, c.jpg and 97 more`."""
    named = list(paths)
    rest = len(named) - _NAMED_FILES
    return ", ".join(named[:_NAMED_FILES]) + (f" and {rest} more" if rest > 0 else "")


def _list_names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names
    except OSError:  # deleted meanwhile: its files count as changed
        return []


def _read_status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return None
