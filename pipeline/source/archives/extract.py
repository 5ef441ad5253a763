"""Archives of images, unpacked once into the project's scratch folder; nothing in one is believed.

Refused are names that lead out, links, devices, decompression bombs, and what is cut short.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from filelock import FileLock
from tqdm import tqdm

from pipeline.core.errors import UserError
from pipeline.source.archives import cache
from pipeline.source.archives.cache import is_whole, refuse_in_use
from pipeline.source.archives.members import ArchiveMember, members, unsafe
from pipeline.storage import files
from pipeline.storage.files import SCRATCH, folder_in_one_piece, project_root, remove_cut_off
from pipeline.storage.fingerprint import of_file

MOST: Final = 1_000_000
"""Files and folders of an archive."""
RATIO: Final = 100
"""Bytes that a byte of an archive may become; images hardly shrink, labels about tenfold."""
HARMLESS: Final = 200_000_000
"""Bytes that any archive may become, whatever the ratio."""

_CHUNK: Final = 1 << 16


def opened(path: Path) -> Path:
    """Return the folder of a source: the folder that it is, or that its archive was unpacked to.

    An archive is known by its contents, and unpacked only once, or again where what was unpacked was changed.

    Args:
        path: A folder, or an archive: zip, tar, tar.gz, tar.bz2 or tar.xz.

    Raises:
        Refused: There is nothing there, it is no archive, it is damaged, or it is not safe to unpack.
    """
    if path.is_dir():
        return path
    if not path.is_file():
        raise UserError(f"data.source={path} does not exist: name a folder of images, or an archive of one")
    digest = of_file(path, cache=files.scratch() / "hashes.db")
    target = files.scratch("sources") / digest[:32]
    with FileLock(target.with_suffix(".lock")):  # of two that unpack it at once, one waits
        remove_cut_off(target)
        fresh = not is_whole(target)
        if fresh:
            if target.exists():
                refuse_in_use(target, path)
                _say(f"{target} was changed since {path} was unpacked to it: unpacking anew")
            _unpack(path, target)
            cache.note(target, path)
        cache.use(target)
    if fresh and (gone := cache.prune(target)):
        _say(f"removed what was unpacked of {', '.join(gone)}: not used lately, or of an earlier state")
    return target


def _say(sentence: str) -> None:
    sys.stderr.write(f"unpack: {sentence}\n")  # beside its progress bar; stdout may be JSON


def unpacked_in(path: Path) -> Path | None:
    """Return the folder that an archive was unpacked to, where `path` lies in one."""
    sources, place = project_root() / SCRATCH / "sources", path.resolve()
    return sources / place.relative_to(sources).parts[0] if sources in place.parents else None


def _unpack(path: Path, target: Path) -> None:
    try:
        with folder_in_one_piece(target) as folder:
            for member in tqdm(_weighed(path), desc="unpack", unit="file", disable=None):
                _write(member, folder, path)
    except UserError:
        raise
    except Exception as error:  # whatever zipfile, tarfile and the decompressors raise at a damaged file
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be unpacked, it may be damaged or cut short: {what}") from None


def _weighed(path: Path) -> Iterator[ArchiveMember]:
    """Yield the files of an archive until they are too many, or more than the disk takes.

    Raises:
        Refused: They are.
    """
    limit = max(HARMLESS, RATIO * path.stat().st_size)
    room, total = shutil.disk_usage(files.scratch()).free, 0
    for number, member in enumerate(members(path), 1):
        total += member.length
        if number > MOST:
            raise UserError(
                f"{path} holds more than {MOST:,} files and folders: unpack it yourself, and name the folder"
            )
        if total > limit:
            raise UserError(
                f"{path} would unpack to more than {RATIO} times its own length, as a decompression bomb "
                "does: unpack it yourself if you trust it, and name the folder"
            )
        if total > room:
            raise UserError(f"{path} needs over {total:,} bytes, and the disk has {room:,} left: make room")
        yield member


def _write(member: ArchiveMember, folder: Path, archive: Path) -> None:
    """Write one file; the name's parts are all that is taken from the archive, and of folders nothing."""
    if member.open is None:
        return
    name = member.name.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
        raise unsafe(archive, member.name, "a name that leads out of it")
    place = folder.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as contents, place.open("xb") as file:
        shutil.copyfileobj(contents, file, _CHUNK)
