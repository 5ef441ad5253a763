"""Cache of unpacked archives: detect changes, lock folders in use, remove old ones.

Beside each folder is a record file with the archive's path and a digest of the folder's files. Its
modification time is the last use, and each process that uses the folder holds a shared lock on it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from pipeline.core.errors import UserError
from pipeline.storage.files import remove_unfinished, write_file
from pipeline.storage.fingerprint import IGNORED_SUFFIXES

MAX_UNPACKED_ARCHIVES: Final = 3
"""How many unpacked archives are kept: those used last."""
_LOCKED_RECORDS: Final[dict[Path, int]] = {}
"""File descriptors of the records that this process has locked, by folder; they close with the process."""


def write_unpack_record(folder: Path, archive: Path) -> None:
    """Write the record of a folder that was just unpacked."""
    record = {"archive": str(archive.resolve()), "files": _hash_folder(folder)}
    write_file(_record_path(folder), json.dumps(record, allow_nan=False))


def is_unchanged(folder: Path) -> bool:
    """Check that a folder still holds what was unpacked: names, sizes and modification times are compared."""
    return folder.is_dir() and _read_record(folder).get("files") == _hash_folder(folder)


def mark_in_use(folder: Path) -> None:
    """Lock a folder against removal until this process ends, and set its last use to now."""
    _release_lock(folder)
    record = os.open(_record_path(folder), os.O_RDONLY)
    os.utime(record)
    with suppress(OSError):  # some file systems have no locks
        fcntl.flock(record, fcntl.LOCK_SH)
    _LOCKED_RECORDS[folder] = record


def check_not_in_use(folder: Path, archive: Path) -> None:
    """Check that no other process uses a folder that must be unpacked again.

    Raises:
        UserError: Another process uses it.
    """
    _release_lock(folder)
    with suppress(OSError), _record_path(folder).open("rb") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder} was changed since {archive} was unpacked to it, and another process reads it: "
                "wait until that process ends, or stop it, then run again"
            ) from None


def _release_lock(folder: Path) -> None:
    """Release this process's own lock, which would block it like the lock of another process."""
    if (record := _LOCKED_RECORDS.pop(folder, None)) is not None:
        os.close(record)


def remove_old_folders(folder: Path) -> list[str]:
    """Remove folders of earlier versions of the same archive, and the least recently used folders.

    Args:
        folder: The folder that is used now.

    Returns:
        The archives whose folders were removed.
    """
    archive = _read_record(folder)["archive"]
    others = sorted(
        (lock.with_suffix("") for lock in folder.parent.glob("*.lock") if lock.stem != folder.name),
        key=_get_last_use,
        reverse=True,
    )
    earlier = [other for other in others if _read_record(other).get("archive") == archive]
    rest = [other for other in others if other not in earlier and other.exists()]
    removed = [
        *earlier,
        *rest[MAX_UNPACKED_ARCHIVES - 1 :],
        *(other for other in others if not other.exists()),
    ]
    return [name for other in removed if (name := _remove_folder(other))]


def _remove_folder(folder: Path) -> str:
    """Remove a folder and the partial folders of killed processes, unless a process uses or unpacks it.

    Returns:
        The archive that it was unpacked from; empty if nothing was removed.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder.with_suffix(".lock"), timeout=0))
            if _record_path(folder).exists():
                record = stack.enter_context(_record_path(folder).open("rb"))
                fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (Timeout, OSError):
            return ""
        remove_unfinished(folder)
        if not folder.exists():
            return ""
        name = str(_read_record(folder).get("archive", folder.name))
        _record_path(folder).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return name


def _record_path(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _read_record(folder: Path) -> dict[str, str]:
    try:
        found = json.loads(_record_path(folder).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _get_last_use(folder: Path) -> float:
    record = _record_path(folder)
    return record.stat().st_mtime if record.exists() else 0


def _hash_folder(folder: Path) -> str:
    """Hash the names, sizes and modification times of all files below a folder."""
    return hashlib.sha256(b"".join(sorted(_iterate_file_lines(folder)))).hexdigest()


def _is_source_file(name: str) -> bool:
    """Check that a file was not added by a file manager that showed the folder."""
    return not name.startswith(".") and not name.endswith(IGNORED_SUFFIXES)


def _iterate_file_lines(folder: Path) -> Iterator[bytes]:
    for place, _, names in os.walk(folder):
        for name in filter(_is_source_file, names):
            path = os.path.join(place, name)  # noqa: PTH118 - faster, for a million files
            found = os.lstat(path)
            relative = os.fsencode(path[len(str(folder)) :])
            yield relative + f"\0{found.st_size}\0{found.st_mtime_ns}\n".encode()
