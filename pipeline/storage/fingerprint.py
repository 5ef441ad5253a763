"""Fingerprint files and folders by their contents, and cache the hashes of files.

A fingerprint does not depend on the folder, the machine or file times. The hash of a file is cached in a
database by path, length and times, so that each file is read once. Every `dvc repro` imports this module, so
it imports only the standard library, and sqlite3 where it is used.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.core.errors import UserError

if TYPE_CHECKING:
    import sqlite3

MIN_AGE_NS = 2_000_000_000
"""A file younger than this may change again without a new time, so its hash is not cached yet."""
SAVE_INTERVAL_SECONDS = 1.0
"""Longest time of reading that is lost by an interruption, besides the files that are being read."""
NO_CONTENTS_HASH = "0" * 64
"""Stands for the hash of a broken link, a pipe or a device; `prepare` reports them."""
IGNORED_SUFFIXES = (".cache", ".cache.npy", "Thumbs.db", "desktop.ini", ".DS_Store")
"""Label caches of Ultralytics and files of file managers, which are not part of a source."""
MapFiles = Callable[[Callable[[str], str], list[str]], Iterable[str]]
"""Calls a function on each path and yields the results in order, as `map` does."""

CheckFolder = Callable[[str, str], None]
"""Called with the path of a folder, and with this path with links resolved."""


class FileStamp(NamedTuple):
    """The path, length and times of a file; equal stamps mean unchanged contents."""

    path: str
    length: int
    mtime: int
    ctime: int


def fingerprint_config_folder(folder: Path) -> str:
    """Hash the YAML files below a folder; line endings do not count, since git may change them."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.yaml")):
        contents = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(folder).as_posix()} {len(contents)}\n".encode())
        digest.update(contents)
    return digest.hexdigest()


def fingerprint_file(path: Path, *, cache: Path) -> str:
    """Return the SHA-256 of a file's contents, from the database `cache` if the file is unchanged."""
    return next(iter(hash_files([str(path.resolve())], cache=cache).values()))


def fingerprint_source(
    source: Path, *, cache: Path, map_files: MapFiles = map, check_folder: CheckFolder | None = None
) -> str:
    """Hash the paths and contents of all files below a folder, without hidden and ignored files.

    Args:
        source: A folder.
        cache: The database of known hashes.
        map_files: Calls a function on each path and yields the results in order, as `map` does.
        check_folder: Called for each folder; may raise an error.
    """
    found = iterate_source_files(source, check_folder)
    paths = {str(path): path.relative_to(source).as_posix() for path in found}
    digest = hashlib.sha256()
    known = dict.fromkeys(paths, NO_CONTENTS_HASH)
    known |= hash_files(filter(os.path.isfile, paths), cache=cache, map_files=map_files)
    for path, relative in sorted(paths.items(), key=lambda item: item[1]):
        digest.update(os.fsencode(f"{relative}\0{known[path]}\n"))
    return digest.hexdigest()


def build_file_stamp(path: str | Path, found: os.stat_result) -> FileStamp:
    """Build the stamp of a file from its status."""
    return FileStamp(str(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def iterate_source_files(folder: Path, check_folder: CheckFolder | None = None) -> Iterator[Path]:
    """Yield the files below a folder, without hidden and ignored ones; follows links, visits folders once.

    Args:
        folder: The folder.
        check_folder: Called for each folder; may raise an error.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_raise_unreadable_folder):
        real = os.path.realpath(place)
        if check_folder:
            check_folder(place, real)
        # sorted: of several links to a folder the first one counts, in every copy of the source
        inner = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        folders[:] = inner
        yield from (Path(place, name) for name in names if real not in seen and _is_source_file(name))
        seen.add(real)


def stamp_source(source: Path) -> dict[str, FileStamp]:
    """Return the stamp of each file of a source by its path as text; a broken link has none.

    Args:
        source: A folder, or an archive; it need not exist.
    """
    paths = iterate_source_files(source) if source.is_dir() else [source]
    files = (str(path) for path in paths)
    return {path: _stamp_file(path) for path in files if os.path.isfile(path)}  # noqa: PTH113 - faster


def hash_files(paths: Iterable[str], *, cache: Path, map_files: MapFiles = map) -> dict[str, str]:
    """Return the SHA-256 of each file by path; only new and changed files are read.

    Raises:
        UserError: A file cannot be read, or the database not be written.
    """
    known: dict[str, str] = {}
    unknown: list[FileStamp] = []
    with _explain_database_errors(cache), closing(_open_database(cache)) as database:
        for file in map(_stamp_file, paths):
            found = _find_known_hash(file, database)
            if found is None:
                unknown.append(file)
            else:
                known[file.path] = found
        return known | (_hash_unknown_files(unknown, database, map_files) if unknown else {})


@contextmanager
def _explain_database_errors(cache: Path) -> Iterator[None]:
    """Turn an error of the database, as on a full or read-only disk, into a sentence that names it."""
    import sqlite3

    try:
        yield
    except sqlite3.OperationalError as error:
        from pipeline.core.machine_errors import describe_full_disk, is_disk_full

        if is_disk_full(error):
            raise UserError(describe_full_disk(cache)) from error
        raise UserError(
            f"{cache}, which keeps the hashes of files, cannot be used ({error}): check the space and the "
            "access rights of its folder, or delete it"
        ) from error


def _find_known_hash(file: FileStamp, database: sqlite3.Connection) -> str | None:
    query = "SELECT sha256 FROM hashes WHERE (path, length, mtime, ctime) = (?, ?, ?, ?)"
    row = database.execute(query, _database_key(file)).fetchone()
    return str(row[0]) if row else None


def _database_key(file: FileStamp) -> tuple[bytes, int, int, int]:
    """Return the database key of a file; the path as bytes, since file names need not be UTF-8."""
    return os.fsencode(file.path), file.length, file.mtime, file.ctime


def _hash_unknown_files(
    unknown: list[FileStamp], database: sqlite3.Connection, map_files: MapFiles
) -> dict[str, str]:
    """Hash files, and save the hashes of those that are older than `MIN_AGE_NS` and did not change."""
    read: dict[str, str] = {}
    fresh: list[FileStamp] = []
    due = time.monotonic() + SAVE_INTERVAL_SECONDS
    found = map_files(_hash_file, [file.path for file in unknown])
    for file, sha256 in zip(unknown, found, strict=True):
        read[file.path] = sha256
        if max(file.mtime, file.ctime) < time.time_ns() - MIN_AGE_NS and _is_unchanged(file):
            fresh.append(file)
        if time.monotonic() > due:  # so that an interrupted run need not read these again
            _save_hashes(fresh, read, database)
            fresh, due = [], time.monotonic() + SAVE_INTERVAL_SECONDS
    _save_hashes(fresh, read, database)
    return read


def _is_unchanged(file: FileStamp) -> bool:
    try:
        return build_file_stamp(file.path, Path(file.path).stat()) == file
    except OSError:
        return False


def _save_hashes(fresh: list[FileStamp], read: dict[str, str], database: sqlite3.Connection) -> None:
    """Write hashes in one short transaction, which blocks other processes; no file is read meanwhile."""
    with database:
        rows = ((*_database_key(file), read[file.path]) for file in fresh)
        database.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?)", rows)


def _open_database(cache: Path) -> sqlite3.Connection:
    import sqlite3

    columns = "path BLOB PRIMARY KEY, length INT, mtime INT, ctime INT, sha256 TEXT"
    database = sqlite3.connect(cache, timeout=60)
    try:
        database.execute(f"CREATE TABLE IF NOT EXISTS hashes ({columns})")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:  # a damaged cache is created again
        database.close()
        cache.unlink()
        return _open_database(cache)
    return database


def _stamp_file(path: str) -> FileStamp:
    try:
        return build_file_stamp(path, Path(path).stat())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): repair or remove it") from None


def _hash_file(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): repair or remove it") from None


def _is_source_file(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(IGNORED_SUFFIXES)


def _raise_unreadable_folder(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}): check its access rights") from None
