"""List the members of a zip or tar archive; links and devices are refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from pipeline.core.errors import UserError

_MAX_HEADER_BYTES: Final = 1 << 24  # bytes of a tar header, which tarfile reads into memory at once
_ZIP_METHODS: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_OPEN_BY_MAGIC: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_ZIP_MAGIC: Final = b"PK"
_ARCHIVE_SUFFIXES: Final = {".zip", ".tar", ".tgz", ".tbz2", ".txz"}


class ArchiveMember(NamedTuple):
    """A file or folder in an archive.

    Attributes:
        name: Its path in the archive.
        length: Unpacked bytes.
        open: Returns a stream of its contents, at most `length` bytes; None for a folder.
    """

    name: str
    length: int
    open: Callable[[], Any] | None = None


def iterate_members(path: Path) -> Iterator[ArchiveMember]:
    """Yield the members of an archive: zip, tar, tar.gz, tar.bz2 or tar.xz.

    Raises:
        UserError: It is no archive, or a member is not safe to unpack.
    """
    if _is_tar(path):  # before zip: a tar that ends with a zip among its files ends like a zip
        return _iterate_tar(path)
    if zipfile.is_zipfile(path):
        return _iterate_zip(path)
    raise UserError(_explain_no_archive(path))


def _is_tar(path: Path) -> bool:
    with _open_decompressed(path) as stream:
        try:
            tarfile.open(fileobj=_HeaderLimitedStream(stream), mode="r:").close()
        except tarfile.ReadError:
            return False
    return True


def _explain_no_archive(path: Path) -> str:
    """Return the message for a file that is no readable archive: damaged, truncated or something else."""
    again = "copy or download it again"
    if not path.stat().st_size:
        return f"{path} is empty (0 bytes): {again}"
    if _read_magic(path).startswith(_ZIP_MAGIC):
        return f"{path} is a zip that is damaged or cut short: {again}"
    if set(path.suffixes) & _ARCHIVE_SUFFIXES:
        return f"{path} is named like an archive, but is none, or it is damaged or cut short: {again}"
    return (
        f"{path} is neither a folder nor an archive that can be read "
        "(zip, tar, tar.gz, tar.bz2, tar.xz): name the folder that holds the images"
    )


def _iterate_zip(path: Path) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                yield ArchiveMember(info.filename, 0)
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise build_unsafe_error(path, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise UserError(f"{path} is encrypted: unpack it yourself, and name the folder")
            if info.compress_type not in _ZIP_METHODS:
                raise UserError(
                    f"{path} uses a compression method that is not supported: "
                    "unpack it yourself, and name the folder"
                )
            yield ArchiveMember(info.filename, info.file_size, partial(archive.open, info))


def _iterate_tar(path: Path) -> Iterator[ArchiveMember]:
    with (
        _open_decompressed(path) as stream,
        tarfile.open(fileobj=_HeaderLimitedStream(stream), mode="r:") as archive,
    ):
        while info := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every member in memory
            if info.isdir():
                yield ArchiveMember(info.name, 0)
                continue
            if not info.isreg():
                raise build_unsafe_error(path, info.name, "a link or a device")
            yield ArchiveMember(info.name, info.size, partial(archive.extractfile, info))
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no mark at its end")  # tarfile ignores that


def _open_decompressed(path: Path) -> IO[bytes]:
    start = _read_magic(path)
    unpack = next((unpack for magic, unpack in _OPEN_BY_MAGIC.items() if start.startswith(magic)), None)
    return unpack(path) if unpack else path.open("rb")


def _read_magic(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


class _HeaderLimitedStream:
    """A stream that limits the size of one read, so that a huge tar header cannot fill the memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {length:,} bytes")
        return self._stream.read(length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def build_unsafe_error(archive: Path, name: str, what: str) -> UserError:
    """Build the error for a member that must not be unpacked."""
    return UserError(
        f"{archive} holds {what}, {name[:200]!r}: unpack it yourself if you trust it, and name the folder"
    )
