"""Files: written whole or not at all, hashed by content, locked against a second writer.

Imports are made where they are used: `compose` starts with this module at every `dvc repro`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.core.errors import UserError

SCRATCH = ".finetrack"
_AT_ONCE = 1 << 20
"""Bytes of a file that are hashed at a time; most are read at once."""


def project_root() -> Path:
    """Return the project's folder, also inside DVC's temporary copies of it (DVC_ROOT names it there)."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def scratch(*parts: str) -> Path:
    """Return a folder for unfinished work, outside every DVC out and shared by DVC's temporary copies."""
    folder = project_root().joinpath(SCRATCH, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole: to a temporary name, to the disk, then renamed into place."""
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
def folder_in_one_piece(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, and rename it to `path` when the block ends well."""
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


def remove_cut_off(path: Path) -> None:
    """Remove what `folder_in_one_piece` had begun where a process was killed; nobody may be at work on it."""
    import shutil

    for cut_off in path.parent.glob(f".{path.name}.*"):
        if cut_off.is_dir():
            shutil.rmtree(cut_off)
        else:
            cut_off.unlink()  # what `write` had begun of a file beside it


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's contents, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", 0) as file:
        while part := file.read(_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def one_writer(path: Path, *, what: str) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    Raises:
        Refused: Another process holds it.
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
