"""Fingerprints of contents: the same for a copy at another place, on another machine, at another time.

A file is read once: its hash is kept in a small database by path, length and times. Standard library
only, and imports where they are used: every `dvc repro` passes here, most of them with nothing to do.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import UserError

if TYPE_CHECKING:
    import sqlite3

SETTLED_NS = 2_000_000_000
"""A file touched this short ago may change again within the clock's step: its hash is not kept yet."""
EVERY = 1.0
"""Seconds of reading that an interruption loses at most, beside the files being read."""
NOTHING = "0" * 64
"""Stands for the hash of a link to nowhere, a pipe, a device: `prepare` names them."""
LITTER = (".cache", ".cache.npy", "Thumbs.db", "desktop.ini")


class FileStamp(NamedTuple):
    """A file, and what tells whether its contents may have changed."""

    path: str
    length: int
    mtime: int
    ctime: int


def of_conf(folder: Path) -> str:
    """Hash the YAML files below a folder; line ends do not count, since git may change them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.yaml")):
        contents = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(folder).as_posix()} {len(contents)}\n".encode())
        digest.update(contents)
    return digest.hexdigest()


def of_file(path: Path, *, cache: Path) -> str:
    """Return the SHA-256 of a file's contents, read once and then remembered in `cache`."""
    return next(iter(hashes([str(path.resolve())], cache=cache).values()))


def of_source(source: Path, *, cache: Path) -> str:
    """Hash the places and contents of all files below a folder (hidden files, label caches and litter aside).

    Args:
        source: A folder.
        cache: The database of known hashes.
    """
    paths = {str(path): path.relative_to(source).as_posix() for path in files(source)}
    digest = hashlib.sha256()
    known = dict.fromkeys(paths, NOTHING)
    known |= hashes(filter(os.path.isfile, paths), cache=cache)
    for path, relative in sorted(paths.items(), key=lambda item: item[1]):
        digest.update(os.fsencode(f"{relative}\0{known[path]}\n"))
    return digest.hexdigest()


def identity(path: str | Path, found: os.stat_result) -> FileStamp:
    """Return what tells whether a file has changed, once its status was asked for."""
    return FileStamp(str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def files(folder: Path) -> Iterator[Path]:
    """Walk the files that count below a folder; links are followed, each folder once."""
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if real not in seen and _counts(name))
        seen.add(real)


def hashes(paths: Iterable[str], *, cache: Path) -> dict[str, str]:
    """Return the SHA-256 of each file, reading only those that are new or were touched."""
    known: dict[str, str] = {}
    unknown: list[FileStamp] = []
    with closing(_database(cache)) as database:
        for file in map(_stat, paths):
            found = _recall(file, database)
            if found is None:
                unknown.append(file)
            else:
                known[file.path] = found
        return known | (_read(unknown, database) if unknown else {})


def _recall(file: FileStamp, database: sqlite3.Connection) -> str | None:
    query = "SELECT sha256 FROM hashes WHERE (path, length, mtime, ctime) = (?, ?, ?, ?)"
    row = database.execute(query, _key(file)).fetchone()
    return str(row[0]) if row else None


def _key(file: FileStamp) -> tuple[bytes, int, int, int]:
    """Return what a hash is kept under: paths as bytes, since a file's name need not be UTF-8."""
    return os.fsencode(file.path), file.length, file.mtime, file.ctime


def _read(unknown: list[FileStamp], database: sqlite3.Connection) -> dict[str, str]:
    """Hash files on all cores, and keep the hashes of those that have settled."""
    from concurrent.futures import ThreadPoolExecutor

    read: dict[str, str] = {}
    fresh: list[FileStamp] = []
    due = time.monotonic() + EVERY
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(_sha256, (file.path for file in unknown))
        for file, sha256 in _shown(zip(unknown, found, strict=True), len(unknown)):
            read[file.path] = sha256
            if max(file.mtime, file.ctime) < time.time_ns() - SETTLED_NS:
                fresh.append(file)
            if time.monotonic() > due:  # an interrupted reading goes on from here
                _keep(fresh, read, database)
                fresh, due = [], time.monotonic() + EVERY
    _keep(fresh, read, database)
    return read


def _keep(fresh: list[FileStamp], read: dict[str, str], database: sqlite3.Connection) -> None:
    """Write hashes in one short transaction: it shuts others out, so no file is read meanwhile."""
    with database:
        rows = ((*_key(file), read[file.path]) for file in fresh)
        database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?)", rows)


def _shown(read: Iterable[tuple[FileStamp, str]], total: int) -> Iterable[tuple[FileStamp, str]]:
    """Show a progress bar where there is something to wait for."""
    if total < 1000:
        return read
    from tqdm import tqdm

    return tqdm(read, "reading source images", total)


def _database(cache: Path) -> sqlite3.Connection:
    import sqlite3

    columns = "path BLOB PRIMARY KEY, length INT, mtime INT, ctime INT, sha256 TEXT"
    database = sqlite3.connect(cache, timeout=60)
    try:
        database.execute(f"CREATE TABLE IF NOT EXISTS hashes ({columns})")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # damaged: what it held is read again
        database.close()
        cache.unlink()
        return _database(cache)
    return database


def _stat(path: str) -> FileStamp:
    try:
        return identity(path, Path(path).stat())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend or remove it") from None


def _sha256(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): mend or remove it") from None


def _counts(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(LITTER)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}): check its access rights") from None
