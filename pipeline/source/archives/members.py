"""What is in an archive, member by member, without believing any of it: links and devices are refused."""

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

_HEADER: Final = 1 << 24  # bytes of a tar header; longer ones are read at once into memory
_PACKED: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNPACKERS: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
_ZIP: Final = b"PK"
_SUFFIXES: Final = {".zip", ".tar", ".tgz", ".tbz2", ".txz"}


class ArchiveMember(NamedTuple):
    """A file or a folder in an archive.

    Attributes:
        name: Its path, as the archive has it.
        length: Bytes, unpacked.
        open: Gives a stream of its contents, no longer than `length`; None for a folder.
    """

    name: str
    length: int
    open: Callable[[], Any] | None = None


def members(path: Path) -> Iterator[ArchiveMember]:
    """Yield what is in an archive: zip, tar, tar.gz, tar.bz2 or tar.xz.

    Raises:
        Refused: It is none, or holds what is not safe to unpack.
    """
    if zipfile.is_zipfile(path):
        return _zipped(path)
    with _unpacked(path) as stream:
        try:
            tarfile.open(fileobj=_HeaderLimitedStream(stream), mode="r:").close()
        except tarfile.ReadError:
            raise UserError(_no_archive(path)) from None
    return _taped(path)


def _no_archive(path: Path) -> str:
    """Tell an archive that was damaged or cut short from what never was one."""
    again = "copy or download it again"
    if not path.stat().st_size:
        return f"{path} is empty (0 bytes): {again}"
    if _start(path).startswith(_ZIP):
        return f"{path} is a zip that is damaged or cut short: {again}"
    if set(path.suffixes) & _SUFFIXES:
        return f"{path} is named like an archive, but is none, or it is damaged or cut short: {again}"
    return (
        f"data.source={path} is neither a folder nor an archive that can be read "
        "(zip, tar, tar.gz, tar.bz2, tar.xz): unpack it, and name the folder"
    )


def _zipped(path: Path) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                yield ArchiveMember(info.filename, 0)
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise unsafe(path, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise UserError(f"{path} is encrypted: unpack it yourself, and name the folder")
            if info.compress_type not in _PACKED:
                raise UserError(f"{path} is packed in a rare way: unpack it yourself, and name the folder")
            yield ArchiveMember(info.filename, info.file_size, partial(archive.open, info))


def _taped(path: Path) -> Iterator[ArchiveMember]:
    with _unpacked(path) as stream, tarfile.open(fileobj=_HeaderLimitedStream(stream), mode="r:") as archive:
        while info := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # where tarfile keeps all that it has met
            if info.isdir():
                yield ArchiveMember(info.name, 0)
                continue
            if not info.isreg():
                raise unsafe(path, info.name, "a link or a device")
            yield ArchiveMember(info.name, info.size, partial(archive.extractfile, info))
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no mark at its end")  # which tarfile passes over


def _unpacked(path: Path) -> IO[bytes]:
    start = _start(path)
    unpack = next((unpack for magic, unpack in _UNPACKERS.items() if start.startswith(magic)), None)
    return unpack(path) if unpack else path.open("rb")


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


class _HeaderLimitedStream:
    """A stream that gives no more than a header's length at once: tarfile reads those into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _HEADER:
            raise tarfile.ReadError(f"a header of {length:,} bytes")
        return self._stream.read(length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def unsafe(archive: Path, name: str, what: str) -> UserError:
    """Say that an archive holds what must not be unpacked."""
    return UserError(
        f"{archive} holds {what}, {name[:200]!r}: unpack it yourself if you trust it, and name the folder"
    )
