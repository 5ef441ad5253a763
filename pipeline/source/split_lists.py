"""Read the splits of lists that name an image per line, such as train.txt in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.text import format_count
from pipeline.source.reading.file_tree import format_relative_path, list_folder_files, list_subfolders
from pipeline.source.reading.parsing import read_lines
from pipeline.source.types import Source, choose_held_out_split, find_split_in_name

_FLAG: Final = re.compile(r"(.*\S)\s+(?:-1|0|1)")
"""A line of a list for one class: the image, and whether it has an object of the class."""
_BOTH: Final = "trainval"
_PLACES: Final = frozenset({"imagesets", "image_sets", "splits", "split", "lists", "meta"})
"""Names of folders that hold lists, in lower case; they may be in a subfolder, as ImageSets/Main."""
_MIN_LISTED: Final = 0.5
"""Lists that name fewer of the images are those of other data."""


class SplitLists:
    """The splits of images by the lists of a folder."""

    def __init__(self, folder: Path) -> None:
        """Read the lists that are named after splits alone: cat_train.txt is one of a class.

        Args:
            folder: That of the lists; it may be absent.

        Raises:
            UserError: A list is not a text file.
        """
        self._folder = folder
        self._lists = dict(_find_lists(folder))
        self._lines: dict[str, set[Path]] = defaultdict(set)
        self._stems: dict[str, set[Path]] = defaultdict(set)
        for file in self._lists:
            for line in filter(None, map(str.strip, read_lines(file))):
                flagged = _FLAG.fullmatch(line)
                for name in (line, flagged[1]) if flagged else (line,):
                    path = _remove_suffix(name)
                    self._lines[path].add(file)
                    self._stems[PurePosixPath(path).name].add(file)
        self._used: set[Path] = set()
        self._twice = 0

    def find_split(self, names: Iterable[str]) -> str | None:
        """Return the split of an image; None if no list names it.

        A line may be the image's path or its end, with or without a suffix, and with a flag of a class.

        Args:
            names: Possible names of the image, or paths.
        """
        tails = [tail for name in names for tail in _list_tails(_remove_suffix(name))]
        indexes = (self._lines, self._stems)
        files = next((index[tail] for index in indexes for tail in tails if tail in index), None)
        if not files:
            return None
        self._used |= files
        splits = {self._lists[file] for file in files}
        self._twice += len(splits) > 1
        return choose_held_out_split(splits)

    @property
    def files(self) -> list[str]:
        """Return the names of the lists."""
        return [file.name for file in self._lists]

    def list_remarks(self) -> tuple[str, ...]:
        """Return what the user should know, after all images were looked up."""
        unused = [file.name for file in self._lists if file not in self._used and file.stat().st_size]
        place = self._folder.name
        remarks = [f"{place}/{name} names none of the images: left aside" for name in unused]
        if self._twice:
            images = format_count(self._twice, "image")
            remarks.append(
                f"the lists in {place} name {images} in more than one split: each is kept in the held-out one"
            )
        return tuple(remarks)


def has_split_lists(folder: Path) -> bool:
    """Check for lists of two or more splits."""
    return len({split for _, split in _find_lists(folder)}) > 1


def apply_split_lists(source: Source, folder: Path) -> Source:
    """Take the splits from lists in the source folder, if the format states none; say so.

    Lists that do not divide these images into train and another split are only told of.

    Args:
        source: A source as its reader returns it.
        folder: The source folder.

    Raises:
        UserError: A list is not a text file.
    """
    if any(image.split for image in source.images):
        return source
    for place in filter(has_split_lists, _list_places(folder)):
        lists = SplitLists(place)
        splits = [lists.find_split([image.source]) for image in source.images]
        named = [split for split in splits if split]
        inside = "" if place == folder else f"{format_relative_path(place, folder)}/"
        files = ", ".join(f"{inside}{name}" for name in lists.files)
        if "train" in named and len(set(named)) > 1 and len(named) >= _MIN_LISTED * len(splits):
            images = tuple(
                image._replace(split=split) for image, split in zip(source.images, splits, strict=True)
            )
            remarks = (f"the splits are those of {files}", *lists.list_remarks())
        else:
            images, found = source.images, ", ".join(sorted(set(named))) or "no split"
            number = f"{len(named)} of {format_count(len(splits), 'image')}"
            remarks = (f"{files} not used as splits: they name {number}, for {found}",)
        return source._replace(images=images, remarks=(*source.remarks, *remarks))
    return source


def _list_places(folder: Path) -> Iterator[Path]:
    """Yield the folders that may hold lists: the source folder, ImageSets/ and the like, their subfolders."""
    yield folder
    for place in list_subfolders(folder):
        if place.name.lower() in _PLACES:
            yield place
            yield from list_subfolders(place)


def _find_lists(folder: Path) -> Iterator[tuple[Path, str]]:
    """Find the lists of a folder with their splits; trainval.txt is train where there is no train.txt."""
    files = list_folder_files(folder, ".txt") if folder.is_dir() else []
    words = {file: _list_words(file.stem) for file in files}
    found = {
        file: split
        for file in files
        if len(words[file]) == 1 and (split := find_split_in_name(file.stem)) is not None
    }
    yield from found.items()
    both = next((file for file in files if words[file] == [_BOTH]), None)
    if both and "train" not in found.values():
        yield both, "train"


def _list_words(stem: str) -> Sequence[str]:
    return [word for word in re.split(r"[^a-z]+", stem.lower()) if word]


def _remove_suffix(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/").removeprefix("./"))
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def _list_tails(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
