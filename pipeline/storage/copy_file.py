"""Copies of source files that share their blocks on disk where the file system can, and only there.

No hard or symbolic links: DVC makes the files of its cache read-only, a training may write into them, and
either would reach the source through a link.
"""

from __future__ import annotations

import errno
import os
import shutil
from io import BufferedWriter, FileIO
from typing import Final

from pipeline.core.errors import UserError
from pipeline.storage import fingerprint
from pipeline.storage.fingerprint import FileStamp

_CANNOT: Final = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}


def copy(original: FileStamp, target: str) -> None:
    """Copy a file, which must be as it was.

    Args:
        original: The file, as it was.
        target: The copy; there is none yet.

    Raises:
        Refused: It is absent, or was changed.
    """
    try:
        # A buffer, though little needs one: FileIO may write less than it is given, and not say so.
        with FileIO(original.path) as source, BufferedWriter(FileIO(target, "xb")) as made:
            _copy(source, made, original.length)
            as_it_is = fingerprint.identity(original.path, os.fstat(source.fileno()))
    except FileNotFoundError:
        as_it_is = None
    if as_it_is != original:
        raise UserError(f"{original.path} was changed while prepare was at work: let it rest, and run again")


def _copy(source: FileIO, made: BufferedWriter[FileIO], length: int) -> None:
    """Copy within the kernel, which on btrfs, XFS and network file systems moves no data at all."""
    done = 0
    try:
        while done < length and (more := os.copy_file_range(source.fileno(), made.fileno(), length - done)):
            done += more
    except (AttributeError, OSError) as error:  # macOS has no such call, and not every pair of file systems
        if isinstance(error, OSError) and error.errno not in _CANNOT:
            raise
    if done < length:
        source.seek(done)
        made.seek(done)
        shutil.copyfileobj(source, made)
