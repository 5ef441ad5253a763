"""What examining images told, kept from run to run: one that did not change is not decoded again.

Kept by path, length and times of the file, for the code and libraries that examined it. Only good news is
kept, of images that go on as they are; whatever else is found, is found anew. A row that was cut, or changed
by something else, does not fit its own digest and counts for nothing; a damaged database is begun anew.
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
from pipeline.prepare.duplicates import search
from pipeline.prepare.duplicates.search import SIDE
from pipeline.prepare.images import appearance, check, decode, truncation
from pipeline.prepare.images.appearance import ImageAppearance
from pipeline.prepare.images.check import SUFFIXES, CheckedImage
from pipeline.storage import fingerprint
from pipeline.storage.fingerprint import EVERY, SETTLED_NS, FileStamp

CODE: Final = (appearance, text, decode, check, search, truncation)
"""Modules that decide what is found in a file."""
LIBRARIES: Final = ("numpy", "opencv-python", "pillow")

_TABLE: Final = """CREATE TABLE IF NOT EXISTS images
    (path BLOB PRIMARY KEY, length INT, mtime INT, ctime INT, facts TEXT, thumbnail BLOB, digest BLOB)"""
_RECALL: Final = """SELECT facts, thumbnail, digest FROM images
    WHERE (path, length, mtime, ctime) = (?, ?, ?, ?)"""
_KEEP: Final = "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)"
_KINDS: Final = frozenset(get_args(FindingKind))


class CheckedImageCache:
    """A database of images that were examined; several threads may ask at once.

    Args:
        database: The file; it may grow by some 5 KB an image.
    """

    def __init__(self, database: Path) -> None:
        self._place = database
        self._code = digest_of(CODE)
        self._lock = threading.Lock()
        self._fresh: list[CheckedImage] = []
        self._due = time.monotonic() + EVERY
        self._database: sqlite3.Connection | None = None
        self._open()
        if not self._database:  # damaged: what it held is found again
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._keep()
            if self._database:
                self._database.close()

    def examine(self, path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
        """Return what `images.examine` does; of an unchanged file without reading it.

        Args:
            path: The file.
            load: Takes the image out of its bytes; such images are not remembered.

        Raises:
            Unusable: See `images.examine`.
        """
        asked = time.time_ns()
        if not load and (known := self.recall(path)):
            return known
        image = check.examine(path, load)
        self.remember(image, asked=asked)
        return image

    def remember(self, image: CheckedImage, *, asked: int) -> None:
        """Take note of what `images.examine` returned, unless the file may have changed since.

        Args:
            image: What was returned.
            asked: Nanoseconds since the epoch; the file was read later.
        """
        if image.original and max(image.original.mtime, image.original.ctime) < asked - SETTLED_NS:
            with self._lock:
                self._fresh.append(image)
                if time.monotonic() > self._due:  # an interruption loses no more than this
                    self._keep()

    def recall(self, path: Path) -> CheckedImage | None:
        """Return what is known of an unchanged file."""
        file = identity(path)
        if file is None:
            return None
        with self._lock:
            try:
                row = self._database.execute(_RECALL, _key(file)).fetchone() if self._database else None
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        if not row or not isinstance(row[1], bytes) or row[2] != self._digest(file, row[0], row[1]):
            return None
        try:
            return _parse(file, row[0], row[1])
        except (ValueError, KeyError, TypeError):
            return None

    def _keep(self) -> None:
        """Write what is new in one short transaction; a memory that cannot be written costs time, no more."""
        fresh, self._fresh, self._due = self._fresh, [], time.monotonic() + EVERY
        if not self._database:
            return
        rows = [self._row(image.original, image) for image in fresh if image.original]
        try:
            with self._database:
                self._database.executemany(_KEEP, rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self) -> None:
        try:
            self._database = sqlite3.connect(self._place, timeout=60, check_same_thread=False)
            self._database.execute(_TABLE)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> None:
        """Go on without; a damaged file is taken away, and the next run begins a new one."""
        if self._database:
            self._database.close()
        self._database = None
        if not isinstance(error, sqlite3.OperationalError):  # those are a full disk, a lock, access rights
            with suppress(OSError):
                self._place.unlink()

    def _row(self, file: FileStamp, image: CheckedImage) -> tuple[Any, ...]:
        facts, thumbnail = _render(image), image.look.signature
        return *_key(file), facts, thumbnail, self._digest(file, facts, thumbnail)

    def _digest(self, file: FileStamp, facts: Any, thumbnail: bytes) -> bytes:
        what = repr((self._code, _key(file), facts)).encode(errors="backslashreplace")
        return hashlib.blake2b(what + thumbnail, digest_size=16).digest()


def identity(path: Path) -> FileStamp | None:
    """Return what tells whether a file has changed; nothing where there is none."""
    try:
        return fingerprint.identity(path, path.stat())
    except (OSError, ValueError):
        return None


def _key(file: FileStamp) -> tuple[bytes, int, int, int]:
    return os.fsencode(file.path), file.length, file.mtime, file.ctime


def _render(image: CheckedImage) -> str:
    notes = [[note.reason, note.kind] for note in image.notes]
    look = image.look.brightness, image.look.sharpness
    return json.dumps([image.sha256, image.suffix, image.size, *look, notes])


def _parse(file: FileStamp, facts: str, thumbnail: bytes) -> CheckedImage:
    """Read a row.

    Raises:
        ValueError: It says what `images.examine` never would.
    """
    sha256, suffix, (width, height), brightness, sharpness, notes = json.loads(facts)
    if suffix not in SUFFIXES or any(kind not in _KINDS for _, kind in notes) or len(sha256) != 64:
        raise ValueError(facts)
    if not type(width) is type(height) is int:
        raise TypeError(facts)
    if len(thumbnail) not in {0, SIDE**2}:
        raise ValueError(len(thumbnail))
    look = ImageAppearance(float(brightness), float(sharpness), bytes(thumbnail))
    found = tuple(AnnotationNote(False, str(reason), kind) for reason, kind in notes)
    return CheckedImage(b"", suffix, (width, height), found, look, str(sha256), file)


def digest_of(code: Iterable[ModuleType]) -> str:
    """Return a digest of modules and of the libraries that they call, which changes as either does."""
    digest = hashlib.sha256()
    for module in code:
        digest.update(Path(str(module.__file__)).read_bytes())
    digest.update(" ".join(f"{name} {version(name)}" for name in LIBRARIES).encode())
    return digest.hexdigest()
