"""Copy source files, sharing their blocks on disk if the file system can.

There are no hard or symbolic links to the source: DVC makes files read-only, a training may write into them,
and both would change the source through a link.
"""

from __future__ import annotations

import errno
import os
from io import BufferedWriter, FileIO
from typing import Final

from pipeline.core.errors import UserError
from pipeline.storage.fingerprint import FileStamp, build_file_stamp

_CHUNK_BYTES: Final = 1 << 20
_UNSUPPORTED_ERRNOS: Final = {
    errno.EXDEV,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EINVAL,
    errno.EPERM,
    errno.EBADF,
}


def copy_unchanged_file(original: FileStamp, target: str) -> None:
    """Copy a file, and check that it has not changed since it was read.

    Args:
        original: The file, with its size and times when it was read.
        target: Path of the copy, which does not exist yet.

    Raises:
        UserError: The file is missing or has changed.
    """
    try:
        # Buffered, since FileIO.write may write only a part of the data.
        with FileIO(original.path) as source, BufferedWriter(FileIO(target, "xb")) as made:
            _copy_contents(source, made, original.length)
            as_it_is = build_file_stamp(original.path, os.fstat(source.fileno()))
    except FileNotFoundError:
        as_it_is = None
    if as_it_is != original:
        raise UserError(
            f"{original.path} was changed while prepare was running: leave it unchanged, and run again"
        )


def _copy_contents(source: FileIO, made: BufferedWriter[FileIO], length: int) -> None:
    """Copy in the kernel, which copies no data at all on btrfs, XFS and network file systems."""
    done = 0
    try:
        while done < length and (more := os.copy_file_range(source.fileno(), made.fileno(), length - done)):
            done += more
    except (AttributeError, OSError) as error:  # not on macOS, nor between all file systems
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED_ERRNOS:
            raise
    if done < length:
        source.seek(done)
        made.seek(done)
        while part := _read_part(source):
            made.write(part)


def _read_part(source: FileIO) -> bytes:
    """Read the next bytes; an error, as of a network disk, gets the name of the file that is read."""
    try:
        return source.read(_CHUNK_BYTES)
    except OSError as error:
        error.filename = source.name
        raise
