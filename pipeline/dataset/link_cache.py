"""Keep the files of data/prepared under second names, so that the next `prepare` can link unchanged ones.

DVC removes data/prepared before `prepare` runs. A hard link below .finetrack keeps the contents. It links to
our own copy, never to the source. The hash in its name is trusted while its size and time are as we set them:
writing into the file changes the time, and then it is made again from the source.
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

from pipeline.storage.scratch_folder import create_scratch_folder, project_root


class FileSpec(NamedTuple):
    """A file of the prepared dataset that is to be made.

    Attributes:
        name: Path in the dataset.
        sha256: Of its contents.
        size: In bytes.
        source_mtime_ns: Modification time of the file that it is made from, in nanoseconds.
    """

    name: str
    sha256: str
    size: int
    source_mtime_ns: int

    @property
    def mtime_ns(self) -> int:
        """The modification time to set, in nanoseconds; another one shows that the file was changed.

        Its seconds are those of the source, its nanoseconds are part of the hash: DVC takes files of the same
        path, inode, size and time for the same file.
        """
        return self.source_mtime_ns // 10**9 * 10**9 + int(self.sha256[:7], 16)


class LinkCache:
    """A folder of hard links to files made earlier, named by contents and path.

    Args:
        folder: The cache. If it is on another file system than the dataset, no file can be linked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def link_or_create(self, target: str, wanted: FileSpec, create: Callable[[str], None]) -> None:
        """Link a file from the cache, or create it and add it to the cache.

        Args:
            target: Path of the file, which does not exist yet.
            wanted: What the file is to be.
            create: Writes the file to the path that it is given.
        """
        name = _cache_name(wanted)
        cached = f"{self._folder}/{name}"
        self._used.add(name)
        if _is_unchanged(cached, wanted):
            with suppress(OSError):
                os.link(cached, target)
                return
        create(target)
        with suppress(OSError):  # without hard links, or on another file system, nothing is cached
            _store_link(cached, target)
            os.utime(target, ns=(wanted.mtime_ns, wanted.mtime_ns))

    def holds(self, wanted: FileSpec) -> bool:
        """Check whether a file can be linked, which takes no space."""
        return _is_unchanged(f"{self._folder}/{_cache_name(wanted)}", wanted)

    def remove_unused(self) -> None:
        """Remove the files that were not used, so that the cache holds no more than data/prepared."""
        unused = []
        with suppress(OSError), os.scandir(self._folder) as entries:
            unused = [entry.path for entry in entries if entry.name not in self._used]
        for path in unused:
            with suppress(OSError):
                Path(path).unlink()


def link_cache_folder() -> Path:
    """Return the cache's folder, outside every DVC out; each copy of the project has its own."""
    return create_scratch_folder("placed", name_link_cache(Path.cwd()))


def name_link_cache(folder: Path) -> str:
    """Name the cache of a folder: workspaces of two sweeps may have the same last name."""
    digest = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()
    return "project" if folder == project_root() else f"{folder.name}-{digest[:8]}"


def clear_link_cache() -> None:
    """Remove the cache, after a file of data/prepared was found to be changed."""
    shutil.rmtree(link_cache_folder(), ignore_errors=True)


def _cache_name(wanted: FileSpec) -> str:
    """Name a cached file by contents and path: equal files stay separate, so none changes with another."""
    path_hash = hashlib.blake2b(wanted.name.encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return f"{wanted.sha256[:32]}-{path_hash}"


def _is_unchanged(path: str, wanted: FileSpec) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    as_set = (found.st_size, found.st_mtime_ns) == (wanted.size, wanted.mtime_ns)
    # A read-only file is DVC's link to its own cache (cache.type hardlink), which must not be linked again.
    return as_set and stat.S_ISREG(found.st_mode) and bool(found.st_mode & stat.S_IWUSR)


def _store_link(cached: str, target: str) -> None:
    try:
        os.link(target, cached)
    except FileExistsError:
        Path(cached).unlink()
        os.link(target, cached)
