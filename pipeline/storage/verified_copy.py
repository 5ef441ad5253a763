"""Copy weights to a file with a plain name, and check that the copied bytes are the expected ones.

Ultralytics changes the paths that it is given: it removes apostrophes and blanks around them, and renames old
models. So `o'brien.pt` would be checked and `obrien.pt` loaded.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder

_CHUNK_BYTES = 1 << 20
_PREFIX = "loading-"
"""Begins the names of folders with a temporary copy."""
_MAX_LOAD_SECONDS = 3600.0
"""Loading weights takes less."""


def copy_verified(path: Path, target: Path, *, sha256: str | None = None) -> str:
    """Copy a file, and return a path of the copy that holds no special characters.

    The path is relative to the working folder, which is in the project: the project's own path may hold any
    character.

    Args:
        path: The file.
        target: The copy, in a folder of the project, with a plain name; it is replaced.
        sha256: The SHA-256 that the copied bytes must have, or None.

    Raises:
        UserError: They have another one, or the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source, target.open("wb") as copy:
            while part := source.read(_CHUNK_BYTES):
                digest.update(part)
                copy.write(part)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist any more: bring it back, and run again") from None
    if sha256 not in {None, digest.hexdigest()}:
        target.unlink()
        raise UserError(f"{path} changed after its SHA-256 was taken: run again")
    return os.path.relpath(target)


@contextmanager
def temporary_copy(path: Path, *, sha256: str | None = None) -> Iterator[str]:
    """Yield the path of a copy as `copy_verified` makes it; it is deleted after the block.

    The copies that killed processes left are deleted first.
    """
    from tempfile import TemporaryDirectory

    place = create_scratch_folder("weights")
    _delete_leftovers(place)
    with TemporaryDirectory(dir=place, prefix=_PREFIX) as folder:
        yield copy_verified(path, Path(folder) / f"weights{path.suffix.lower()}", sha256=sha256)


def _delete_leftovers(place: Path) -> None:
    import shutil

    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # its process has just deleted it
            if time.time() - folder.stat().st_mtime > _MAX_LOAD_SECONDS:
                shutil.rmtree(folder)
