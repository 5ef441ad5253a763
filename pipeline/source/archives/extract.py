"""Unpack zip and tar archives once into the project's scratch folder, without trusting their contents.

Names that lead out of the folder, links, devices, decompression bombs and truncated archives are refused.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from filelock import FileLock

from pipeline.config.source_paths import DATASET_FILES
from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, is_disk_full
from pipeline.runtime.progress import Progress
from pipeline.source.archives.cache import (
    check_not_in_use,
    is_unchanged,
    mark_in_use,
    remove_old_folders,
    write_unpack_record,
)
from pipeline.source.archives.members import ArchiveMember, build_unsafe_error, iterate_members
from pipeline.storage.disk_space import count_free_bytes
from pipeline.storage.files import remove_unfinished, write_folder
from pipeline.storage.fingerprint import fingerprint_file
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, create_scratch_folder, project_root

MAX_MEMBERS: Final = 1_000_000
"""Largest number of files and folders in an archive."""
MAX_COMPRESSION_RATIO: Final = 100
"""Largest unpacked size relative to the archive; images hardly shrink, labels about tenfold."""
ALWAYS_ALLOWED_BYTES: Final = 200_000_000
"""Unpacked bytes that are allowed at any compression ratio."""

_CHUNK_BYTES: Final = 1 << 16


def unpack_source(path: Path) -> Path:
    """Return a source as a folder, or as a file that describes a dataset; an archive is unpacked first.

    Archives are identified by the hash of their contents, and unpacked once, or again if the folder changed.

    Args:
        path: A folder, a data.yaml or a COCO file, or an archive: zip, tar, tar.gz, tar.bz2 or tar.xz.

    Raises:
        UserError: It does not exist, is no archive, is damaged, or is not safe to unpack.
    """
    if path.is_dir() or (path.is_file() and path.suffix.lower() in DATASET_FILES):
        return path
    if not path.is_file():
        raise UserError(f"{path} does not exist: name a folder of images, or an archive of one")
    digest = fingerprint_file(path, cache=create_scratch_folder() / "hashes.db")
    target = create_scratch_folder("sources") / digest[:32]
    with FileLock(target.with_suffix(".lock")):  # a second process that unpacks it waits
        remove_unfinished(target)
        fresh = not is_unchanged(target)
        if fresh:
            if target.exists():
                check_not_in_use(target, path)
                _print_message(f"{target} was changed since {path} was unpacked to it: unpacking it again")
            _unpack(path, target)
            write_unpack_record(target, path)
        mark_in_use(target)
    if fresh and (removed := remove_old_folders(target)):
        _print_message(
            f"removed the unpacked files of {', '.join(removed)}: not used lately, or an earlier version"
        )
    return target


def _print_message(sentence: str) -> None:
    sys.stderr.write(f"unpack: {sentence}\n")  # like the progress bar; stdout may be JSON


def find_unpacked_folder(path: Path) -> Path | None:
    """Return the folder of the unpacked archive that contains `path`; None if it is in none."""
    sources, target = project_root() / SCRATCH_FOLDER / "sources", path.resolve()
    return sources / target.relative_to(sources).parts[0] if sources in target.parents else None


def _unpack(path: Path, target: Path) -> None:
    try:
        with write_folder(target) as folder:
            for member in Progress("unpack", None, unit="files").track(_check_limits(path)):
                _write_member(member, folder, path)
    except UserError:
        raise
    except Exception as error:  # zipfile, tarfile and decompressors raise many kinds at damaged files
        if is_disk_full(error):
            raise UserError(describe_full_disk(target)) from None
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be unpacked, it may be damaged or cut short: {what}") from None


def _check_limits(path: Path) -> Iterator[ArchiveMember]:
    """Yield the members of an archive, checking number, unpacked size and free disk space.

    Raises:
        UserError: There are too many members, or they need too many bytes.
    """
    limit = max(ALWAYS_ALLOWED_BYTES, MAX_COMPRESSION_RATIO * path.stat().st_size)
    room, total = count_free_bytes(create_scratch_folder()), 0
    for number, member in enumerate(iterate_members(path), 1):
        total += member.length
        if number > MAX_MEMBERS:
            raise UserError(
                f"{path} holds more than {MAX_MEMBERS:,} files and folders: "
                "unpack it yourself, and name the folder"
            )
        if total > limit:
            raise UserError(
                f"{path} would unpack to more than {MAX_COMPRESSION_RATIO} times its own size, "
                "as a decompression bomb does: unpack it yourself if you trust it, and name the folder"
            )
        if total > room:
            raise UserError(f"{path} needs over {total:,} bytes, and the disk has {room:,} left: make room")
        yield member


def _write_member(member: ArchiveMember, folder: Path, archive: Path) -> None:
    """Write one file; only its name and contents are used, no mode, owner or time. Folders are skipped."""
    if member.open is None:
        return
    name = member.name.replace("\\", "/")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or ":" in parts[0]:
        raise build_unsafe_error(archive, member.name, "a name that leads out of it")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as contents, target.open("xb") as file:
        shutil.copyfileobj(contents, file, _CHUNK_BYTES)
