"""Archives of images, unpacked once into the project's scratch folder; nothing in one is believed.

Refused are names that lead out, links, devices, decompression bombs, and what is cut short.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, NamedTuple

from filelock import FileLock
from tqdm import tqdm

from pipeline.core.refusal import Refused
from pipeline.edges import files, fingerprint

MOST: Final = 1_000_000
"""Files and folders of an archive."""
RATIO: Final = 100
"""Bytes that a byte of an archive may become; images hardly shrink, labels about tenfold."""
HARMLESS: Final = 200_000_000
"""Bytes that any archive may become, whatever the ratio."""

_HEADER: Final = 1 << 24  # bytes of a tar header; longer ones are read at once into memory
_CHUNK: Final = 1 << 16
_PACKED: Final = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_UNPACKERS: Final[dict[bytes, Callable[..., Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


class Member(NamedTuple):
    """A file or a folder in an archive.

    Attributes:
        name: Its path, as the archive has it.
        length: Bytes, unpacked.
        open: Gives a stream of its contents, no longer than `length`; None for a folder.
    """

    name: str
    length: int
    open: Callable[[], Any] | None = None


def opened(path: Path) -> Path:
    """Return the folder of a source: the folder that it is, or that its archive was unpacked to.

    An archive is known by its contents, and unpacked only once.

    Args:
        path: A folder, or an archive: zip, tar, tar.gz, tar.bz2 or tar.xz.

    Raises:
        Refused: There is nothing there, it is no archive, it is damaged, or it is not safe to unpack.
    """
    if path.is_dir():
        return path
    if not path.is_file():
        raise Refused(f"data.source={path} does not exist: name a folder of images, or an archive of one")
    digest = fingerprint.of_file(path, cache=files.scratch() / "hashes.db")
    target = files.scratch("sources") / digest[:32]
    with FileLock(target.with_suffix(".lock")):  # of two that unpack it at once, one waits
        files.remove_cut_off(target)
        if not target.is_dir():
            _unpack(path, target)
    return target


def unpacked_in(path: Path) -> Path | None:
    """Return the folder that an archive was unpacked to, where `path` lies in one."""
    sources, place = files.project_root() / files.SCRATCH / "sources", path.resolve()
    return sources / place.relative_to(sources).parts[0] if sources in place.parents else None


def _unpack(path: Path, target: Path) -> None:
    try:
        with files.folder_in_one_piece(target) as folder:
            for member in tqdm(_weighed(path), desc="unpack", unit="file", disable=None):
                _write(member, folder, path)
    except Refused:
        raise
    except Exception as error:  # whatever zipfile, tarfile and the decompressors raise at a damaged file
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise Refused(f"{path} cannot be unpacked, it may be damaged or cut short: {what}") from None


def _weighed(path: Path) -> Iterator[Member]:
    """Yield the files of an archive until they are too many, or more than the disk takes.

    Raises:
        Refused: They are.
    """
    limit = max(HARMLESS, RATIO * path.stat().st_size)
    room, total = shutil.disk_usage(files.scratch()).free, 0
    for number, member in enumerate(_members(path), 1):
        total += member.length
        if number > MOST:
            raise Refused(
                f"{path} holds more than {MOST:,} files and folders: unpack it yourself, and name the folder"
            )
        if total > limit:
            raise Refused(
                f"{path} would unpack to more than {RATIO} times its own length, as a decompression bomb "
                "does: unpack it yourself if you trust it, and name the folder"
            )
        if total > room:
            raise Refused(f"{path} needs over {total:,} bytes, and the disk has {room:,} left: make room")
        yield member


def _members(path: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(path):
        return _zipped(path)
    with _unpacked(path) as stream:
        try:
            tarfile.open(fileobj=_Sipped(stream), mode="r:").close()
        except tarfile.ReadError:
            raise Refused(
                f"data.source={path} is neither a folder nor an archive that can be read "
                "(zip, tar, tar.gz, tar.bz2, tar.xz): unpack it, and name the folder"
            ) from None
    return _taped(path)


def _zipped(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                yield Member(info.filename, 0)
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG}:
                raise _unsafe(path, info.filename, "a link or a device")
            if info.flag_bits & 1:
                raise Refused(f"{path} is encrypted: unpack it yourself, and name the folder")
            if info.compress_type not in _PACKED:
                raise Refused(f"{path} is packed in a rare way: unpack it yourself, and name the folder")
            yield Member(info.filename, info.file_size, partial(archive.open, info))


def _taped(path: Path) -> Iterator[Member]:
    with _unpacked(path) as stream, tarfile.open(fileobj=_Sipped(stream), mode="r:") as archive:
        while info := archive.next():
            archive.members.clear()  # type: ignore[attr-defined]  # where tarfile keeps all that it has met
            if info.isdir():
                yield Member(info.name, 0)
                continue
            if not info.isreg():
                raise _unsafe(path, info.name, "a link or a device")
            yield Member(info.name, info.size, partial(archive.extractfile, info))
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("no mark at its end")  # which tarfile passes over


def _unpacked(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((unpack for magic, unpack in _UNPACKERS.items() if start.startswith(magic)), None)
    return unpack(path) if unpack else path.open("rb")


class _Sipped:
    """A stream that gives no more than a header's length at once: tarfile reads those into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, length: int = -1) -> bytes:
        if not 0 <= length <= _HEADER:
            raise tarfile.ReadError(f"a header of {length:,} bytes")
        return self._stream.read(length)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _write(member: Member, folder: Path, archive: Path) -> None:
    """Write one file; the name's parts are all that is taken from the archive, and of folders nothing."""
    if member.open is None:
        return
    name = member.name.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
        raise _unsafe(archive, member.name, "a name that leads out of it")
    place = folder.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as contents, place.open("xb") as file:
        shutil.copyfileobj(contents, file, _CHUNK)


def _unsafe(archive: Path, name: str, what: str) -> Refused:
    return Refused(
        f"{archive} holds {what}, {name[:200]!r}: unpack it yourself if you trust it, and name the folder"
    )
