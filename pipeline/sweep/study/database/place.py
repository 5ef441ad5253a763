"""Where the file of a database is, which tells a copy of a project from one that was moved."""

from __future__ import annotations

import platform
from enum import Enum
from pathlib import Path
from typing import NamedTuple


class DatabasePlace(NamedTuple):
    """Where a process found the file of a database.

    Attributes:
        path: Without links.
        inode: The number of the file on its disk: moving keeps it there, copying does not.
        host: The machine.
    """

    path: str
    inode: int
    host: str


class PlaceChange(Enum):
    """What has become of a file since its place was written into it."""

    NONE = "it is the same file"
    MOVED = "its earlier place is gone"
    UNSURE = "its earlier place is on another machine, which cannot be asked"
    COPIED = "its earlier place has another file"


def locate_database(file: Path) -> DatabasePlace:
    """Return where a file is now.

    Raises:
        OSError: There is no such file.
    """
    path = file.resolve()
    return DatabasePlace(str(path), path.stat().st_ino, platform.node())


def compare_places(stored: DatabasePlace, own: DatabasePlace) -> PlaceChange:
    """Return what has become of a file.

    Args:
        stored: What the file says of itself.
        own: Where it is now.
    """
    # Some network disks number their files anew at each mount, and a backup is restored as a new file.
    if stored.inode == own.inode or (stored.path, stored.host) == (own.path, own.host):
        return PlaceChange.NONE
    # At the same path of another machine, or where its earlier place has another file, it is a copy.
    if stored.path == own.path or _has_other_file(stored.path, own):
        return PlaceChange.COPIED
    return PlaceChange.MOVED if stored.host == own.host else PlaceChange.UNSURE


def _has_other_file(path: str, own: DatabasePlace) -> bool:
    file = Path(path)
    return file.exists() and not file.samefile(own.path)
