"""List the images and videos that a user names: files, folders and archives."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.archives.extract import unpack_source
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, sort_paths

VIDEO_SUFFIXES: Final = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}
)
"""Suffixes of videos, in lower case. None of them is a list of other files or addresses."""
_MAX_NAME_BYTES: Final = 255
"""Of a file or a folder, on the usual disks."""
_CUT_BYTES: Final = 150
"""Of a name that is cut, as those of prepared images are."""
ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")


class SourceFile(NamedTuple):
    """An image or a video.

    Attributes:
        name: Its path in the source, with slashes; unique in a run.
        path: The file.
        is_video: Whether it is a video.
        output: Where its results go, below the folder of each format and without a suffix.
        size: Bytes; 0 where it cannot be read.
        changed: Time of the last change, in nanoseconds since 1970; 0 where it cannot be read.
    """

    name: str
    path: Path
    is_video: bool = False
    output: str = ""
    size: int = 0
    changed: int = 0


class FileList(NamedTuple):
    """What to predict on.

    Attributes:
        files: The images and videos, sorted by folder and name.
        others: How many other files there are, which are left out.
        shortened: The names of those whose results have other ones: names so long are possible on no disk.
    """

    files: list[SourceFile]
    others: int
    shortened: tuple[str, ...] = ()


def list_files(paths: Sequence[Path]) -> FileList:
    """List the images and videos in files, folders (with subfolders) and archives, which are unpacked.

    Of several sources, each name starts with the name of its source; files are one source.

    Raises:
        UserError: A path does not exist, an archive cannot be unpacked, or there is nothing to predict on.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} does not exist: name a folder, images, videos or an archive")
    _refuse_overlap(paths)
    kinds = [path.is_file() and not _is_archive(path) for path in paths]
    single = [path for path, is_single in zip(paths, kinds, strict=True) if is_single]
    folders = [path for path, is_single in zip(paths, kinds, strict=True) if not is_single]
    found = list(_list_single(single))
    others = 0
    for prefix, folder in zip(_name_folders(folders, found), folders, strict=True):
        images, left = _list_folder(prefix, unpack_source(folder))
        found += images
        others += left
    if not found:
        left_out = f", only {format_count(others, 'other file')}" if others else ""
        raise UserError(
            f"{', '.join(map(str, paths))} has no image and no video{left_out}: name another source"
        )
    files = _choose_outputs(found)
    shortened = tuple(file.name for file in files if not file.output.startswith(_remove_suffix(file.name)))
    return FileList(files, others, shortened)


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def _refuse_overlap(paths: Sequence[Path]) -> None:
    real: dict[Path, Path] = {}
    for path in paths:
        same = real.setdefault(path.resolve(), path)
        if same is not path:
            raise UserError(f"{path} and {same} are the same: name each image once")
    for place, path in real.items():
        if outer := next((real[parent] for parent in place.parents if parent in real), None):
            raise UserError(f"{path} is in {outer}: name each image once")


def _name_folders(folders: Sequence[Path], single: Sequence[SourceFile]) -> list[str]:
    """Return the first part of the names of each folder's images: none if there is one folder alone.

    No two are equal, and none begins the name of a file that was named itself.
    """
    if len(folders) == 1 and not single:
        return [""]
    taken = {file.name.partition("/")[0].casefold() for file in single}
    prefixes = []
    for folder in folders:
        own = folder.resolve().name or "source"
        choices = (own, *(f"{own}_{number}" for number in range(2, len(folders) + len(taken) + 2)))
        name = next(choice for choice in choices if choice.casefold() not in taken)
        taken.add(name.casefold())
        prefixes.append(f"{name}/")
    return prefixes


def _list_single(paths: Sequence[Path]) -> Iterator[SourceFile]:
    """Yield files that were named themselves; whatever their suffixes are, they are tried."""
    if paths:
        places = [
            path.parent.resolve() / path.name for path in paths
        ]  # without `..`: names are paths of results
        root = Path(os.path.commonpath([place.parent for place in places]))
        for path, place in zip(paths, places, strict=True):
            yield _stamp_file(format_relative_path(place, root), path)


def _list_folder(prefix: str, folder: Path) -> tuple[list[SourceFile], int]:
    """Return the images and videos below a folder, and how many other files there are."""
    known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
    paths = list(iterate_files(folder))
    chosen = sort_paths(path for path in paths if path.suffix.lower() in known)
    files = [_stamp_file(prefix + format_relative_path(path, folder), path) for path in chosen]
    return files, len(paths) - len(chosen)


def _stamp_file(name: str, path: Path) -> SourceFile:
    try:
        status = path.stat()
        stamp = (status.st_size, status.st_mtime_ns)
    except OSError:  # reported when it is read
        stamp = (0, 0)
    return SourceFile(name, path, path.suffix.lower() in VIDEO_SUFFIXES, name, *stamp)


def _choose_outputs(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Name the results of each image as it is, without its suffix: a.txt for a.jpg.

    Where a.jpg and a.png are in one folder, or a.jpg and a.jpg.png, all have their full names: a.jpg.txt.
    Those of a video are in a folder with its full name. Where a.txt is the name of a folder, an
    underscore is added. A name that would be too long is cut, and gets a hash of the image's name.
    """
    stems = [each.name if each.is_video else _remove_suffix(each.name) for each in files]
    counts = Counter(stem.casefold() for stem in stems)
    names = {each.name.casefold() for each in files}
    taken = {str(parent).casefold() for each in files for parent in PurePosixPath(each.name).parents}
    chosen = []
    for each, stem in zip(files, stems, strict=True):
        is_free = not each.is_video and counts[stem.casefold()] == 1 and stem.casefold() not in names
        output = _fit_output(each, stem if is_free else each.name)
        while not taken.isdisjoint(_list_results(each, output)):
            output = _fit_output(each, f"{output}_")
        taken |= _list_results(each, output)
        chosen.append(each._replace(output=output))
    return chosen


def _remove_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _fit_output(file: SourceFile, output: str) -> str:
    """Cut the parts of a path that are too long, or would be with the suffixes of results."""
    *folders, last = output.split("/")
    fitting = [_cut_name(part, part) if _count_bytes(part) > _MAX_NAME_BYTES else part for part in folders]
    if max(_count_bytes(name) for name in _name_results(file, last)) > _MAX_NAME_BYTES:
        last = _cut_name(last, file.name)
    return "/".join([*fitting, last])


def _count_bytes(name: str) -> int:
    return len(os.fsencode(name))


def _cut_name(name: str, unique: str) -> str:
    """Return the beginning of a name, with a hash of what tells it from others."""
    kept = os.fsencode(name)[:_CUT_BYTES].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(os.fsencode(unique)).hexdigest()[:8]}"


def _list_results(file: SourceFile, output: str) -> set[str]:
    """Return the files, and the folder, of the results of a file, in lower case."""
    return {name.casefold() for name in _name_results(file, output)}


def _name_results(file: SourceFile, output: str) -> tuple[str, str]:
    return (output, name_video(output)) if file.is_video else (f"{output}.txt", f"{output}.jpg")


def name_video(output: str) -> str:
    """Return the name of the video that is made of a video's pictures."""
    return output if output.lower().endswith(".mp4") else f"{output}.mp4"
