"""List the files of a source folder."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.storage.fingerprint import IGNORED_SUFFIXES


def format_relative_path(path: Path, root: Path) -> str:
    """Return a path relative to the source folder, with slashes; bytes that are not UTF-8 are escaped."""
    place, start = str(path), f"{root}{os.sep}"
    inside = place.startswith(start) and ".." not in place  # relpath takes ten times as long
    name = (place[len(start) :] if inside else os.path.relpath(path, root)).replace(os.sep, "/")
    return name if name.isascii() else os.fsencode(name).decode(errors="backslashreplace")


def list_images(folder: Path, *, deep: bool = True) -> list[Path]:
    """List the image files in a folder, sorted, without hidden files such as `._x.jpg`."""
    return sort_paths(iterate_files(folder, *IMAGE_SUFFIXES, deep=deep))


def list_files(folder: Path, *suffixes: str) -> list[Path]:
    """List the files with a suffix in a folder and its subfolders, sorted, without hidden files."""
    return sort_paths(iterate_files(folder, *suffixes))


def iterate_files(folder: Path, *suffixes: str, deep: bool = True) -> Iterator[Path]:
    """Yield the files in a folder that are not hidden, in file system order.

    Args:
        folder: The folder.
        suffixes: Suffixes of the files, upper or lower case; without any, all files.
        deep: Include subfolders.

    Raises:
        UserError: A folder cannot be read.
    """
    yield from _iterate_files(folder, suffixes or ("",), (_resolve(folder),), deep=deep)


def _iterate_files(
    folder: Path, suffixes: tuple[str, ...], parents: tuple[Path, ...], *, deep: bool
) -> Iterator[Path]:
    """Yield the files in a folder; `parents` are the resolved paths of it and of the folders above it."""
    for path, is_folder in _scan_folder(folder, suffixes):
        if is_folder:
            real = _resolve(path) if path.is_symlink() else parents[-1] / path.name
            if deep and not _is_link_to_parent(path, real, parents):
                yield from _iterate_files(path, suffixes, (*parents, real), deep=deep)
        else:
            yield path


def list_folder_files(folder: Path, *suffixes: str) -> list[Path]:
    """List the files with a suffix directly in a folder, not in subfolders, sorted, without hidden files."""
    return sort_paths(iterate_files(folder, *suffixes, deep=False))


def list_subfolders(folder: Path) -> list[Path]:
    """List the subfolders directly in a folder that are not hidden, sorted.

    Raises:
        UserError: The folder cannot be read.
    """
    return sorted(path for path, is_folder in _scan_folder(folder, ()) if is_folder)


def sort_paths(paths: Iterable[Path]) -> list[Path]:
    """Sort paths part by part, as `sorted` does but five times as fast."""
    return sorted(paths, key=attrgetter("parts"))


class FolderListing(NamedTuple):
    """The names in a folder that are not hidden, in file system order.

    Attributes:
        folders: Subfolders, and links to folders.
        files: Files by suffix in lower case.
    """

    folders: list[str]
    files: dict[str, list[str]]

    def find(self, suffixes: tuple[str, ...]) -> Iterator[str]:
        """Yield the names of the files that end with one of the suffixes, in upper or lower case."""
        for suffix, names in self.files.items():
            if suffix.endswith(suffixes):
                yield from names
            elif any(ending.endswith(suffix) for ending in suffixes):  # such as .coco.json
                yield from (name for name in names if name.lower().endswith(suffixes))


_listings: ContextVar[dict[Path, FolderListing] | None] = ContextVar("listings", default=None)


@contextmanager
def share_listings() -> Iterator[None]:
    """List each folder once within the context: to recognize a source, every format lists it again.

    Files that are written to a listed folder meanwhile are not seen.
    """
    token = _listings.set({})
    try:
        yield
    finally:
        _listings.reset(token)


RecordedListings = dict[Path, list[frozenset[str]]]
"""Each folder that was listed, with the names in it; several if they changed."""
_recorded: ContextVar[RecordedListings | None] = ContextVar("recorded", default=None)


@contextmanager
def record_listings() -> Iterator[RecordedListings]:
    """Record each folder that is listed within the context, to notice files that were away meanwhile."""
    recorded: RecordedListings = {}
    token = _recorded.set(recorded)
    try:
        yield recorded
    finally:
        _recorded.reset(token)


def find_changed_listings(recorded: RecordedListings) -> list[str]:
    """List the files and folders that came or went since their folder was recorded."""
    changed: set[str] = set()
    for folder, listings in recorded.items():
        now = _list_names(_read_listing(folder))
        changed |= {str(folder / name) for names in listings for name in names ^ now}
    return sorted(changed)


def _list_names(listing: FolderListing) -> frozenset[str]:
    """Return all names but those of files that are no part of a source, such as label caches."""
    files = (name for names in listing.files.values() for name in names)
    return frozenset(listing.folders).union(name for name in files if not name.endswith(IGNORED_SUFFIXES))


def _scan_folder(folder: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[Path, bool]]:
    """Yield subfolders and files with a suffix, without hidden ones.

    Other files are skipped by name, before a path is built.
    """
    listing = _list_folder(folder)
    for name in listing.folders:
        yield folder / name, True
    for name in listing.find(suffixes):
        yield folder / name, False


def _list_folder(folder: Path) -> FolderListing:
    """List a folder, or return its listing from this context; empty if there is no such folder.

    Raises:
        UserError: The folder cannot be read.
    """
    known, recorded = _listings.get(), _recorded.get()
    if known is not None and folder in known:
        return known[folder]
    listing = _read_listing(folder)
    if known is not None:
        known[folder] = listing
    if recorded is not None and (names := _list_names(listing)) not in recorded.setdefault(folder, []):
        recorded[folder].append(names)
    return listing


def _read_listing(folder: Path) -> FolderListing:
    listing = FolderListing([], defaultdict(list))
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _add_entry(listing, entry)
    except (FileNotFoundError, NotADirectoryError):
        listing = FolderListing([], {})
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}): give yourself the right to") from None
    return listing


def _add_entry(listing: FolderListing, entry: os.DirEntry[str]) -> None:
    """Add a folder or a file that is not hidden; an image that is a broken link too: it is reported."""
    name = entry.name
    if name.startswith((".", "__MACOSX")):
        return
    if _is_folder(entry):
        listing.folders.append(name)
        return
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - Path.suffix takes ten times as long
    if suffix in IMAGE_SUFFIXES or entry.is_file(follow_symlinks=False) or Path(entry.path).is_file():
        listing.files[suffix].append(name)


def path_exists(path: Path) -> bool:
    """Check that a file or folder exists; False for a name that no file can have."""
    try:
        path.stat()
    except (OSError, ValueError):
        return False
    return True


def is_file(path: Path) -> bool:
    """Check that a regular file exists; False for a name that no file can have."""
    return get_file_size(path) is not None


def get_file_size(path: Path) -> int | None:
    """Return the size of a file in bytes; None if there is no such file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_head(path: Path, size: int = 65_536) -> bytes:
    """Return the first bytes of a file, to recognize its format; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _is_link_to_parent(path: Path, real: Path, parents: Iterable[Path]) -> bool:
    """Check for a link to one of its own parent folders: following it would never end."""
    return path.is_symlink() and any(place.is_relative_to(real) for place in parents)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:  # a link to itself is a broken link
            raise
        return False


def _resolve(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve it accepts a link to itself
