"""Describe errors of the machine in one sentence: full disks, memory, threads, shared memory, access rights.

Libraries raise them as many types (OSError, sqlite3.Error, cv2.error, RuntimeError), and processes of a data
loader pass on the text alone, so the text is searched where there is no error number.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

SHARED_MEMORY_FOLDER: Final = Path("/dev/shm")
DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""Of a call that locks a file, on a network disk that is mounted without locks."""
_NO_TEMPORARY_FOLDER: Final = "No usable temporary directory"
"""Of `tempfile`, which tries each of them; in fact none has space or may be written to."""
_SIGNS: Final = {
    errno.ENOSPC: (
        "No space left on device",
        "disk is full",
        "[Errno 28]",
        "Insufficient free disk space",  # a MemoryError of Ultralytics' downloads
        _NO_TEMPORARY_FOLDER,
    ),
    errno.EDQUOT: ("Disk quota exceeded",),
    errno.EFBIG: ("File too large",),
    errno.EROFS: ("Read-only file system",),
    errno.EMFILE: ("Too many open files",),
    errno.ENOLCK: ("No locks available",),
    errno.EAGAIN: ("can't start new thread", "Resource temporarily unavailable"),
    errno.ENOMEM: (
        "Cannot allocate memory",
        "can't allocate memory",
        "failed to map segment from shared object",
        "Insufficient memory",
        "Unable to allocate",
        "std::bad_alloc",
    ),
}
"""Parts of the messages of libraries, by the number of the error."""
_SHARED_MEMORY_SIGNS: Final = ("shared memory", "unable to mmap", "/torch_")
_SEMAPHORES_FILE: Final = os.path.join("multiprocessing", "synchronize.py")  # noqa: PTH118 - a part of a path
_ADD_LOCKS: Final = (
    "has no locks: mount it with them (Lustre: the option flock; NFS: lockd), or move the project to "
    "another disk"
)
_SENTENCES: Final = {
    errno.ENOLCK: f"this disk {_ADD_LOCKS}",
    errno.ENOMEM: "the memory is not enough: end other programs, or raise the limit of this process or "
    "its container (ulimit -v)",
    errno.EAGAIN: "no more threads or processes can be started: end other programs, or raise the limit of "
    "this process or its container (ulimit -u, ulimit -v)",
    errno.EMFILE: "too many files are open: raise the limit of this process (ulimit -n 4096), then run again",
}
_RULES: Final = {
    errno.EFBIG: "is larger than this process may write: raise the limit (ulimit -f), then run again",
    errno.EROFS: "cannot be written, since its file system is read-only: mount it so that it can be written",
    errno.EACCES: "cannot be used (no permission): change its access rights, or run as its owner",
    errno.EPERM: "cannot be used (not permitted): change its access rights, or run as its owner",
    errno.EIO: "cannot be read or written (input/output error): check the disk",
    **dict.fromkeys(
        (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
        "cannot be reached, since its network disk is away: mount it again, then run again",
    ),
}
"""What is said about the file of the error."""


def describe_machine_error(error: BaseException) -> str | None:
    """Return a sentence for an error that the machine causes, not the code; None for any other error.

    Args:
        error: The error; the errors that it was raised from are searched too.
    """
    return next(filter(None, map(_describe, iterate_causes(error))), None)


def describe_missing_locks(path: Path) -> str:
    """Return a sentence about a disk without locks; the path is of a file on it."""
    return f"the disk of {path.parent.resolve()} {_ADD_LOCKS}"


def is_disk_full(error: BaseException) -> bool:
    """Check whether an error, or one that it was raised from, is that of a full disk or quota."""
    return any(_find_errno(each) in DISK_FULL for each in iterate_causes(error))


def describe_full_disk(path: Path) -> str:
    """Return a sentence about a full disk: the folder, the space left, and what to do.

    Args:
        path: What could not be written; it need not exist.
    """
    folder = next((place for place in (path, *path.parents) if place.is_dir()), Path.cwd())
    left = shutil.disk_usage(folder).free / 1e6
    return (
        f"the disk is full: {folder.resolve()} has {left:,.1f} MB left, too little for what is written; "
        "free some space, then run again"
    )


def iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, what caused it, what caused that, and so on; each once."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _describe(error: BaseException) -> str | None:
    text, number = str(error), _find_errno(error)
    if "Bus error" in text or (number and _is_of_shared_memory(error, text)):
        return _describe_shared_memory()
    if number in DISK_FULL:
        return describe_full_disk(_find_file(error) or _find_fullest_folder())
    file = _find_file(error)
    if number in _RULES and (file or number == errno.EFBIG):
        return f"{file or 'a file'} {_RULES[number]}"
    return _SENTENCES.get(number or 0)


def _is_of_shared_memory(error: BaseException, text: str) -> bool:
    """Check for an error of shared memory, which the semaphores of multiprocessing do not name."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    raised_in = frame.tb_frame.f_code.co_filename if frame else ""
    return raised_in.endswith(_SEMAPHORES_FILE) or any(sign in text for sign in _SHARED_MEMORY_SIGNS)


def _find_errno(error: BaseException) -> int | None:
    """Return the error number, from the message where the error has none."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None and _NO_TEMPORARY_FOLDER not in text:
        return error.errno
    otherwise = errno.ENOMEM if isinstance(error, MemoryError) else None
    return next(
        (number for number, signs in _SIGNS.items() if any(sign in text for sign in signs)), otherwise
    )


def _find_file(error: BaseException) -> Path | None:
    name = getattr(error, "filename", None)
    return Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None


def _find_fullest_folder() -> Path:
    """Return the folder with the least space left, of those that are written to: the error names none."""
    roots = (os.environ.get(name) for name in ("FINETRACK_ROOT", "DVC_ROOT"))
    folders = [Path.cwd(), *(Path(root) for root in roots if root)]
    with suppress(OSError):  # it finds none where all are full
        folders.append(Path(tempfile.gettempdir()))
    return min(folders, key=lambda folder: shutil.disk_usage(folder).free)


def _describe_shared_memory() -> str:
    left = ""
    with suppress(OSError):
        left = f" ({shutil.disk_usage(SHARED_MEMORY_FOLDER).free / 1e6:,.0f} MB left)"
    return (
        f"the shared memory in {SHARED_MEMORY_FOLDER}{left} cannot be used or is not enough for the "
        "processes that load images: set finetune.workers=0, or docker run --shm-size=2g"
    )
