"""Tell which process holds the lock of a file, without taking it, which would stop a command."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

LOCKS_FILE: Final = Path("/proc/locks")
"""Where Linux lists the locks of all processes of this container."""
_ROW: Final = re.compile(r"^\d+: (?:FLOCK|POSIX|OFDLCK) +\S+ +WRITE (-?\d+) \S+:(\d+) ", re.MULTILINE)
_FLOCK: Final = "hhqqi4x"
"""struct flock of 64-bit Linux: type, whence, start, length, process id."""
_NETWORK_DISKS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "9p",
        "fuse.sshfs",
    }
)


def find_lock_holder(path: Path) -> int | None:
    """Return the process id that holds the exclusive lock of a file; None if no process here does.

    A process of another container or machine is not seen: take the lock before anything is deleted.
    """
    try:
        inode, table = path.stat().st_ino, LOCKS_FILE.read_text()
    except OSError:
        return None
    return next((int(pid) for pid, number in _ROW.findall(table) if int(number) == inode), None)


def is_record_locked(path: Path) -> bool:
    """Return whether any process holds a POSIX lock on a file, those of other containers too."""
    with suppress(OSError), path.open("rb") as file:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))[0]
        return bool(kind != fcntl.F_UNLCK)
    return False


@contextmanager
def hold_free_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder (flock) during the block, if it is free; yield whether it is held.

    A file that does not exist is not created, and counts as held; a disk without locks does not refuse.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
    except FileNotFoundError:
        yield True
        return
    try:
        yield _try_lock(handle)
    finally:
        os.close(handle)


def require_free_locks(scratch: Path) -> None:
    """Require that no command of a project holds a lock.

    Args:
        scratch: The project's scratch folder.

    Raises:
        UserError: One does.
    """
    for path in (scratch / "locks").glob("*.lock"):
        with hold_free_lock(path) as free:
            if not free:
                raise UserError(f"a command of this project runs (it holds {path.name})")


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in {errno.EACCES, errno.EAGAIN}
    return True


def is_own_file(path: Path) -> bool:
    """Return whether a file is of this user, whose processes can be seen; root sees those of all."""
    with suppress(OSError):
        return os.geteuid() in {0, path.lstat().st_uid}
    return False


def is_on_network_disk(path: Path) -> bool:
    """Return whether a folder is on a disk that other machines may use, too, as far as /proc/mounts says."""
    kinds: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/mounts").read_text(errors="replace").splitlines():
            _, place, kind, *_ = line.split(" ")
            kinds[place.replace("\\040", " ")] = kind
    folder = path.resolve()
    nearest = next((str(each) for each in (folder, *folder.parents) if str(each) in kinds), "")
    return kinds.get(nearest) in _NETWORK_DISKS
