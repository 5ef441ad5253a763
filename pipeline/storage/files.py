"""Write files and folders atomically, hash files, and lock outputs against a second writer.

Most imports are inside functions, since `compose` imports this module at every `dvc repro`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UserError

_CHUNK_BYTES = 1 << 20
"""Bytes that are read and hashed at a time; most files are smaller."""


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically: to a temporary file, synced to disk, then renamed."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically: yield a temporary one, and rename it to `path` after the block."""
    import shutil
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    temporary.chmod(0o755)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_unfinished(path: Path) -> None:
    """Remove temporary files of a killed process beside `path`. No process may be writing to it."""
    import shutil

    for unfinished in path.parent.glob(f".{path.name}.*"):
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        else:
            unfinished.unlink()  # of `write_file`


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's contents, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", 0) as file:
        while part := file.read(_CHUNK_BYTES):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def hold_writer_lock(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock file `path` during the block.

    Raises:
        UserError: Another process holds it.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another process is at work on {what}: wait for it to end, or stop it, then run again"
        ) from None
    try:
        yield
    finally:
        lock.release()
