"""Check before long work that the disk has space for what it writes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

_FICLONE: Final = 0x40049409
"""Linux's ioctl that lets two files share their blocks on disk."""


def has_space(folder: Path, needed: float) -> bool:
    """Check whether the disk of a folder, which need not exist yet, has so many bytes left."""
    return needed <= count_free_bytes(folder)


def require_space(folder: Path, needed: float, *, what: str) -> None:
    """Require that the disk of a folder has space for what will surely be written.

    Args:
        folder: Need not exist yet.
        needed: Bytes, or fewer where it cannot be known: work that has enough space is never refused.
        what: What needs them, such as `the images of data/prepared`.

    Raises:
        UserError: There is less.
    """
    if not has_space(folder, needed):
        free = _format_size(count_free_bytes(folder))
        raise UserError(
            f"{what} need at least {_format_size(needed)}, and the disk of {folder.resolve()} has {free} "
            "left: free some space, or move the project to a larger disk"
        )


def count_free_bytes(folder: Path) -> int:
    """Return the bytes that this process may write; a very high number where no size is stated, as with FUSE.

    The blocks that ext4 keeps for root are free for root, as in most containers.
    """
    place = next(path for path in (folder, *folder.resolve().parents) if path.is_dir())
    found = os.statvfs(place)
    if not found.f_blocks:
        return sys.maxsize
    return found.f_frsize * (found.f_bavail if os.geteuid() else found.f_bfree)


def measure_copies(files: Sequence[tuple[str, int]], folder: Path) -> int:
    """Return the bytes that copies of files take in a folder: none where they can share blocks.

    Args:
        files: Path and length in bytes of each.
        folder: Of the copies; it exists.
    """
    if files and _shares_blocks(Path(files[0][0]), folder):
        return 0
    return sum(length for _, length in files)


def _shares_blocks(file: Path, folder: Path) -> bool:
    """Check whether a copy of a file in a folder can share its blocks, as on btrfs and XFS."""
    with suppress(ImportError, OSError):
        import fcntl

        with file.open("rb") as source, tempfile.TemporaryFile(dir=folder) as target:
            fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
        return True
    return False


def _format_size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
