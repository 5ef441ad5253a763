"""Files of data/prepared, kept under a second name: where nothing changes, the next `prepare` links them.

DVC takes data/prepared away before `prepare` runs; a hard link in .finetrack keeps the contents. It is a link
to a copy of our own, never to the source. A file counts by the hash in its name as long as it has the length
and time that it was given; whoever writes into it changes the time, and it is copied from the source anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.storage import files
from pipeline.storage.files import project_root


class FileSpec(NamedTuple):
    """A file to be made.

    Attributes:
        name: Its path in the dataset.
        sha256: Of its contents.
        length: In bytes.
        changed: Nanoseconds of the last change of what it was made from.
    """

    name: str
    sha256: str
    length: int
    changed: int

    @property
    def time(self) -> int:
        """Nanoseconds of its own last change, to tell whether it was changed since.

        The second is that of what it was made from, what is below tells its contents: DVC takes a file of the
        same place, inode, length and time for the same.
        """
        return self.changed // 10**9 * 10**9 + int(self.sha256[:7], 16)


class LinkCache:
    """A folder of files that were made earlier, named for their contents and places.

    Args:
        folder: On the same file system as what is made, or nothing can be linked, and all is made anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def place(self, target: str, wanted: FileSpec, make: Callable[[str], None]) -> None:
        """Link a file, or make it and keep it for the next time.

        Args:
            target: Where it is to be; there is none yet.
            wanted: What it is to be.
            make: Writes it, where it is not kept.
        """
        name = _name(wanted)
        kept = f"{self._folder}/{name}"
        self._used.add(name)
        if _is(kept, wanted):
            with suppress(OSError):
                os.link(kept, target)
                return
        make(target)
        with suppress(OSError):  # where there are no hard links, or not across file systems, all is copied
            _replace(kept, target)
            os.utime(target, ns=(wanted.time, wanted.time))

    def forget_others(self) -> None:
        """Remove what was not placed: no more is kept than data/prepared holds."""
        others = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            others = [entry.path for entry in entries if entry.name not in self._used]
        for path in others:
            with suppress(OSError):
                Path(path).unlink()


def folder() -> Path:
    """Return where files are kept: outside of every DVC out, and apart for each of DVC's temporary copies."""
    here = Path.cwd()
    return files.scratch("placed", "project" if here == project_root() else here.name)


def distrust() -> None:
    """Forget all that is kept, since a file of data/prepared is not what it should be."""
    shutil.rmtree(folder(), ignore_errors=True)


def _name(wanted: FileSpec) -> str:
    """Name contents and place: no two files of data/prepared are one, and so none changes with another."""
    place = hashlib.blake2b(wanted.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return f"{wanted.sha256[:32]}-{place}"


def _is(path: str, wanted: FileSpec) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    as_given = (found.st_size, found.st_mtime_ns) == (wanted.length, wanted.time)
    # read-only: DVC made a link to its cache of it (cache.type hardlink), which is not to be linked further
    return as_given and stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IWUSR)


def _replace(kept: str, target: str) -> None:
    try:
        os.link(target, kept)
    except FileExistsError:
        Path(kept).unlink()
        os.link(target, kept)
