"""List the files of a source folder."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}) | {
    ".avif",
    ".dng",
    ".gif",
    ".heic",
    ".heif",
    ".jp2",
    ".mpo",
}
"""What is taken for an image; whether training can read it is found out when it is opened."""


_IMAGES: Final = tuple(SUFFIXES)


def relative(path: Path, root: Path) -> str:
    """Name a file relative to the source folder; bytes that are no UTF-8 are spelled out."""
    place, start = str(path), f"{root}{os.sep}"
    inside = (
        place.startswith(start) and ".." not in place
    )  # of 100,000 images; relpath takes ten times as long
    name = (place[len(start) :] if inside else os.path.relpath(path, root)).replace(os.sep, "/")
    return name if name.isascii() else os.fsencode(name).decode(errors="backslashreplace")


def images_in(folder: Path, *, deep: bool = True) -> list[Path]:
    """List the image files in a folder, sorted; hidden ones (`._x.jpg`) are none."""
    return in_order(files_in(folder, *SUFFIXES, deep=deep))


def files_in(folder: Path, *suffixes: str, deep: bool = True) -> Iterator[Path]:
    """Yield the files in a folder that are not hidden, in the order of the file system.

    Args:
        folder: The folder.
        suffixes: Those that the files bear, in any case; any where there is none.
        deep: Look into the folders in it as well.

    Raises:
        Refused: A folder cannot be read.
    """
    yield from _files(folder, suffixes or ("",), (_real(folder),), deep=deep)


def _files(
    folder: Path, suffixes: tuple[str, ...], around: tuple[Path, ...], *, deep: bool
) -> Iterator[Path]:
    """Yield the files in a folder; `around` are the real places of it and of those it was reached by."""
    for path, is_folder in _inside(folder, suffixes):
        if is_folder:
            real = _real(path) if path.is_symlink() else around[-1] / path.name
            if deep and not _encloses(path, real, around):
                yield from _files(path, suffixes, (*around, real), deep=deep)
        else:
            yield path


def files_of(folder: Path, *suffixes: str) -> list[Path]:
    """List the files right in a folder that bear a suffix in any case, sorted; hidden ones are none."""
    return in_order(files_in(folder, *suffixes, deep=False))


def folders_in(folder: Path) -> list[Path]:
    """List the folders right in a folder that are not hidden, sorted.

    Raises:
        Refused: The folder cannot be read.
    """
    return sorted(path for path, is_folder in _inside(folder, ()) if is_folder)


def in_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths as they sort themselves, part by part, in a fifth of the time."""
    return sorted(paths, key=attrgetter("parts"))


def _inside(folder: Path, suffixes: tuple[str, ...]) -> list[tuple[Path, bool]]:
    """List the folders, and what bears a suffix: in the order of the file system, but for what is hidden.

    Every format that a source may have lists it anew: what nobody asked for is left out as a plain name.
    """
    try:
        with os.scandir(folder) as entries:
            kept = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
            found = [(entry.name, _is_folder(entry), _is_file(entry, suffixes)) for entry in kept]
            return [(folder / name, inner) for name, inner, there in found if inner or there]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): give yourself the right to") from None


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder; a name that no file can have is none."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_file(path: Path) -> bool:
    """Tell whether there is such a file; a name that no file can have is none."""
    return length_of(path) is not None


def length_of(path: Path) -> int | None:
    """Return the length of a file in bytes; None where there is no such file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def head_of(path: Path, size: int = 65_536) -> bytes:
    """Return the first bytes of a file, to recognise it by; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _encloses(path: Path, real: Path, around: Iterable[Path]) -> bool:
    """Tell a link to a folder that it lies in or was reached by, which would be walked through for ever."""
    return path.is_symlink() and any(place.is_relative_to(real) for place in around)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself is a link to nothing
            raise
        return False


def _is_file(entry: os.DirEntry[str], suffixes: tuple[str, ...]) -> bool:
    """Tell a file that bears a suffix; an image that is a link to nothing is named, not passed over."""
    name = entry.name.lower()
    if not name.endswith(suffixes):
        return False
    return name.endswith(_IMAGES) or entry.is_file(follow_symlinks=False) or Path(entry.path).is_file()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # which bears links to themselves
