"""Write files and folders atomically, hash files, and lock outputs against a second writer.

Most imports are inside functions, since `compose` imports this module at every `dvc repro`.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.errors import UserError

_CHUNK_BYTES = 1 << 20
"""Bytes that are read and hashed at a time; most files are smaller."""
TEMPORARY_MARK = "tmp-"
"""Begins what the name of an output that is not finished has at its end: others have dotted names, too."""
RANDOM_PART = f"{TEMPORARY_MARK}[a-z0-9_]{{8}}"
"""A regular expression of that end; `tempfile` draws the letters."""
WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Errors of `write`, which name no file."""


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file atomically: to a temporary file, synced to disk, then renamed.

    An error of the disk, which names no file, gets the path.
    """
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{TEMPORARY_MARK}")
    try:
        with name_failed_path(path), os.fdopen(handle, "wb") as file:
            _lock_temporary(handle)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def name_failed_path(path: Path) -> Iterator[None]:
    """Add a path to an error of a full disk that names none, as those of `write`, so that messages can."""
    try:
        yield
    except OSError as error:
        if error.errno in WRITE_ERRORS and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Write a folder atomically: yield a temporary one, and rename it to `path` after the block.

    The temporary folders that killed processes left beside `path` are removed first.
    """
    import shutil

    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path)
    temporary, lock = _create_temporary_folder(path)
    try:
        with name_failed_path(path):
            yield temporary
        _replace_folder(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def remove_unfinished(path: Path) -> None:
    """Remove the temporary files and folders that killed processes left beside `path`.

    Those of living processes are locked, and stay.
    """
    import shutil

    own = re.compile(rf"\.{re.escape(path.name)}\.{RANDOM_PART}(\.old)?")
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not own.fullmatch(unfinished.name):
            continue
        with suppress(OSError):  # another process has just removed or finished it
            handle = os.open(unfinished, os.O_RDONLY)
            try:
                if not _lock_temporary(handle):
                    continue
                if unfinished.is_dir():
                    shutil.rmtree(unfinished)
                else:
                    unfinished.unlink()  # of `write_file`
            finally:
                os.close(handle)


def _create_temporary_folder(path: Path) -> tuple[Path, int]:
    """Create a temporary folder beside `path`; return it with the handle that keeps it locked."""
    import tempfile

    while True:
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.{TEMPORARY_MARK}"))
        temporary.chmod(0o755)
        lock = os.open(temporary, os.O_RDONLY)
        if _lock_temporary(lock) is not False and temporary.exists():
            return temporary, lock  # else another process has just taken it for a leftover
        os.close(lock)


def _lock_temporary(handle: int) -> bool | None:
    """Lock a file or folder while it is open; False if a process holds it, None where there are no locks.

    Some network disks lock no folders: what is left there has to be removed by hand.
    """
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _replace_folder(temporary: Path, path: Path) -> None:
    """Rename a folder to `path`; the old one is moved aside first, and is back if that fails."""
    import shutil

    if not path.exists():
        temporary.rename(path)
        return
    old = temporary.with_name(f"{temporary.name}.old")
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


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
        UserError: Another process holds it, or the disk has no locks.
    """
    import warnings

    from filelock import FileLock, Timeout

    from pipeline.core.machine_errors import NO_LOCKS, describe_missing_locks

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        with warnings.catch_warnings(action="ignore"):
            lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"another process is at work on {what}: wait for it to end, or stop it, then run again"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise UserError(describe_missing_locks(path)) from None
    if type(lock) is not FileLock:  # filelock's substitute, which would outlive a killed process
        lock.release()
        raise UserError(describe_missing_locks(path))
    try:
        yield
    finally:
        lock.release()
