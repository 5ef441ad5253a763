"""Cache of image checks between runs: an unchanged file is not read and decoded again.

Rows are keyed by path, length and times of the file, and by the code and libraries of the check. Only valid
images that are used unchanged are cached; all others are checked in each run. Each row has a digest: a
truncated or changed row is ignored. A damaged database is deleted and created again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self, get_args

from pipeline.core import text
from pipeline.core.findings import AnnotationNote, FindingKind
from pipeline.prepare.duplicates import perceptual_hash
from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE
from pipeline.prepare.images import appearance, check, decode, tiff_channels, truncation
from pipeline.prepare.images.appearance import ImageAppearance
from pipeline.prepare.images.check import TRAINING_SUFFIXES, CheckedImage, check_image
from pipeline.storage.fingerprint import MIN_AGE_NS, SAVE_INTERVAL_SECONDS, FileStamp, build_file_stamp

CHECK_MODULES: Final = (appearance, text, decode, check, perceptual_hash, tiff_channels, truncation)
"""Modules that decide the result of a check: a change in one of them invalidates the cache."""
CHECK_LIBRARIES: Final = ("numpy", "opencv-python", "pillow")
"""Libraries whose versions do the same."""

_CREATE_TABLE: Final = """CREATE TABLE IF NOT EXISTS images
    (path BLOB PRIMARY KEY, length INT, mtime INT, ctime INT, facts TEXT, thumbnail BLOB, digest BLOB)"""
_SELECT: Final = """SELECT facts, thumbnail, digest FROM images
    WHERE (path, length, mtime, ctime) = (?, ?, ?, ?)"""
_INSERT: Final = "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)"
_FINDING_KINDS: Final = frozenset(get_args(FindingKind))


class CheckedImageCache:
    """A database of checked images, for several threads.

    Args:
        path: The database file; it grows by up to 5 KB per image.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._code_digest = digest_modules(CHECK_MODULES)
        self._lock = threading.Lock()
        self._unsaved: list[CheckedImage] = []
        self._next_save = time.monotonic() + SAVE_INTERVAL_SECONDS
        self._database: sqlite3.Connection | None = None
        self._open()
        if not self._database:  # a damaged file was deleted: create a new one
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._save()
            if self._database:
                self._database.close()

    def check_with_cache(self, path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
        """Return the result of `check.check_image`, without reading the file if it is cached.

        Args:
            path: The file.
            load: Extracts the image from the contents of the file; such images are not cached.

        Raises:
            UnusableImageError: See `check.check_image`.
        """
        started = time.time_ns()
        if not load and (cached := self.find(path)):
            return cached
        checked = check_image(path, load)
        self.add(checked, started=started)
        return checked

    def add(self, checked: CheckedImage, *, started: int) -> None:
        """Cache a checked image, unless its file may have changed during the check.

        Args:
            checked: The result of the check.
            started: Nanoseconds since the epoch, before the file was read.
        """
        if checked.original and max(checked.original.mtime, checked.original.ctime) < started - MIN_AGE_NS:
            with self._lock:
                self._unsaved.append(checked)
                if time.monotonic() > self._next_save:  # an interrupted run loses only the last interval
                    self._save()

    def find(self, path: Path) -> CheckedImage | None:
        """Return the cached check of a file; None if there is none, or the file has changed since."""
        stamp = read_file_stamp(path)
        if stamp is None:
            return None
        with self._lock:
            try:
                row = self._database.execute(_SELECT, _key(stamp)).fetchone() if self._database else None
            except sqlite3.Error as error:
                self._disable(error)
                return None
        if not row or not isinstance(row[1], bytes) or row[2] != self._digest_row(stamp, row[0], row[1]):
            return None
        try:
            return _parse_facts(stamp, row[0], row[1])
        except (ValueError, KeyError, TypeError):
            return None

    def _save(self) -> None:
        """Write the unsaved images in one transaction; if that fails, the next run only takes longer."""
        unsaved, self._unsaved = self._unsaved, []
        self._next_save = time.monotonic() + SAVE_INTERVAL_SECONDS
        if not self._database:
            return
        rows = [self._build_row(checked.original, checked) for checked in unsaved if checked.original]
        try:
            with self._database:
                self._database.executemany(_INSERT, rows)
        except sqlite3.Error as error:
            self._disable(error)

    def _open(self) -> None:
        try:
            self._database = sqlite3.connect(self._path, timeout=60, check_same_thread=False)
            self._database.execute(_CREATE_TABLE)
        except sqlite3.Error as error:
            self._disable(error)

    def _disable(self, error: sqlite3.Error) -> None:
        """Continue without the cache; delete a damaged file, so that the next run creates a new one."""
        if self._database:
            self._database.close()
        self._database = None
        if not isinstance(error, sqlite3.OperationalError):  # these are a full disk, a lock, access rights
            with suppress(OSError):
                self._path.unlink()

    def _build_row(self, stamp: FileStamp, checked: CheckedImage) -> tuple[Any, ...]:
        facts, thumbnail = _serialize_facts(checked), checked.appearance.thumbnail
        return *_key(stamp), facts, thumbnail, self._digest_row(stamp, facts, thumbnail)

    def _digest_row(self, stamp: FileStamp, facts: Any, thumbnail: bytes) -> bytes:
        content = repr((self._code_digest, _key(stamp), facts)).encode(errors="backslashreplace")
        return hashlib.blake2b(content + thumbnail, digest_size=16).digest()


def read_file_stamp(path: Path) -> FileStamp | None:
    """Return path, length and times of a file, to notice a change; None where it cannot be read."""
    try:
        return build_file_stamp(path, path.stat())
    except (OSError, ValueError):
        return None


def _key(stamp: FileStamp) -> tuple[bytes, int, int, int]:
    return os.fsencode(stamp.path), stamp.length, stamp.mtime, stamp.ctime


def _serialize_facts(checked: CheckedImage) -> str:
    notes = [[note.reason, note.kind] for note in checked.notes]
    brightness, sharpness, _ = checked.appearance
    return json.dumps(
        [checked.sha256, checked.suffix, checked.size, brightness, sharpness, notes], allow_nan=False
    )


def _parse_facts(stamp: FileStamp, facts: str, thumbnail: bytes) -> CheckedImage:
    """Parse a row of the database.

    Raises:
        ValueError: A value is one that `check.check_image` never returns.
        TypeError: A value has the wrong type.
    """
    sha256, suffix, (width, height), brightness, sharpness, notes = json.loads(facts)
    if suffix not in TRAINING_SUFFIXES or len(sha256) != 64:
        raise ValueError(facts)
    if any(kind not in _FINDING_KINDS for _, kind in notes):
        raise ValueError(facts)
    if not type(width) is type(height) is int:
        raise TypeError(facts)
    if len(thumbnail) not in {0, THUMBNAIL_SIDE**2}:
        raise ValueError(len(thumbnail))
    measured = ImageAppearance(float(brightness), float(sharpness), bytes(thumbnail))
    parsed_notes = tuple(AnnotationNote(False, str(reason), kind) for reason, kind in notes)
    return CheckedImage(b"", suffix, (width, height), parsed_notes, measured, str(sha256), stamp)


def digest_modules(modules: Iterable[ModuleType]) -> str:
    """Return a digest of the source of modules and the versions of CHECK_LIBRARIES."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(" ".join(f"{name} {version(name)}" for name in CHECK_LIBRARIES).encode())
    return digest.hexdigest()
