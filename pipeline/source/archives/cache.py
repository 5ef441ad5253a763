"""Folders that archives were unpacked to: is one still as it was, and which go when there are too many.

Beside each folder lies a file that says which archive it came from and what was in it; its time is that of
the last use, and processes that use the folder hold a lock on it.
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
from pipeline.storage import files
from pipeline.storage.files import remove_cut_off
from pipeline.storage.fingerprint import LITTER

KEPT: Final = 3
"""Unpacked archives that stay, the last used ones."""
_IN_USE: Final[dict[Path, int]] = {}
"""Records that this process holds a lock on, by folder: the locks go with it."""


def note(folder: Path, archive: Path) -> None:
    """Write down what a folder holds, just unpacked."""
    record = {"archive": str(archive.resolve()), "files": _digest(folder)}
    files.write(_record(folder), json.dumps(record))


def is_whole(folder: Path) -> bool:
    """Tell whether a folder holds what was unpacked to it: names, lengths and times are compared."""
    return folder.is_dir() and _read(folder).get("files") == _digest(folder)


def use(folder: Path) -> None:
    """Keep a folder from being removed as long as this process lives, and as one that was used last."""
    _let_go(folder)
    record = os.open(_record(folder), os.O_RDONLY)
    os.utime(record)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(record, fcntl.LOCK_SH)
    _IN_USE[folder] = record


def refuse_in_use(folder: Path, archive: Path) -> None:
    """See to it that no other process reads a folder that is to be unpacked anew.

    Raises:
        Refused: One does.
    """
    _let_go(folder)
    with suppress(OSError), _record(folder).open("rb") as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{folder} was changed since {archive} was unpacked to it, and another process reads it: "
                "wait for that one to end, or stop it, then run again"
            ) from None


def _let_go(folder: Path) -> None:
    """Give up this process's own lock, which would keep it out as another's does."""
    if (record := _IN_USE.pop(folder, None)) is not None:
        os.close(record)


def prune(folder: Path) -> list[str]:
    """Remove what was unpacked from an earlier state of the same archive, and what was not used for long.

    Args:
        folder: The one that is used now.

    Returns:
        The archives whose folders are gone.
    """
    mine = _read(folder)["archive"]
    others = sorted(
        (lock.with_suffix("") for lock in folder.parent.glob("*.lock") if lock.stem != folder.name),
        key=_last_used,
        reverse=True,
    )
    earlier = [other for other in others if _read(other).get("archive") == mine]
    rest = [other for other in others if other not in earlier and other.exists()]
    gone = [*earlier, *rest[KEPT - 1 :], *(other for other in others if not other.exists())]
    return [name for other in gone if (name := _remove(other))]


def _remove(folder: Path) -> str:
    """Remove a folder, and what a killed process had begun of it; one that is at work keeps both.

    Returns:
        What it was unpacked from; empty where nothing went.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder.with_suffix(".lock"), timeout=0))
            if _record(folder).exists():
                record = stack.enter_context(_record(folder).open("rb"))
                fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (Timeout, OSError):
            return ""
        remove_cut_off(folder)
        if not folder.exists():
            return ""
        name = str(_read(folder).get("archive", folder.name))
        _record(folder).unlink(missing_ok=True)
        shutil.rmtree(folder)
        return name


def _record(folder: Path) -> Path:
    return folder.with_suffix(".json")


def _read(folder: Path) -> dict[str, str]:
    try:
        found = json.loads(_record(folder).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_used(folder: Path) -> float:
    record = _record(folder)
    return record.stat().st_mtime if record.exists() else 0


def _digest(folder: Path) -> str:
    """Hash names, lengths and times of all files below a folder."""
    return hashlib.sha256(b"".join(sorted(_lines(folder)))).hexdigest()


def _counts(name: str) -> bool:
    """Leave out what file managers put into a folder that is only looked at."""
    return not name.startswith(".") and not name.endswith(LITTER)


def _lines(folder: Path) -> Iterator[bytes]:
    for place, _, names in os.walk(folder):
        for name in filter(_counts, names):
            path = os.path.join(place, name)  # noqa: PTH118 - of up to a million files
            found = os.lstat(path)
            relative = os.fsencode(path[len(str(folder)) :])
            yield relative + f"\0{found.st_size}\0{found.st_mtime_ns}\n".encode()
