"""Read the splits of lists that name an image per line, such as train.txt in ImageSets/Main."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.text import format_count
from pipeline.source.reading.file_tree import (
    format_relative_path,
    iterate_files,
    list_folder_files,
    list_subfolders,
)
from pipeline.source.reading.parsing import read_lines
from pipeline.source.types import Source, choose_held_out_split, find_split_in_name

_FLAG: Final = re.compile(r"(.*\S)\s+(?:-1|0|1)")
"""A line of a list for one class: the image, and whether it has an object of the class."""
_BOTH: Final = "trainval"
_PLACES: Final = frozenset({"imagesets", "image_sets", "splits", "split", "lists", "meta"})
"""Names of folders that hold lists, in lower case; they may be in a subfolder, as ImageSets/Main."""
_IMAGE_FOLDERS: Final = frozenset({"images", "image", "imgs", "img", "jpegimages"})
"""Names of folders of images whose label files may lie beside the folder, in lower case."""
_MAX_NAMED: Final = 3
_MIN_LISTED: Final = 0.5
"""Lists that name fewer of the images are those of other data."""


class SplitList(NamedTuple):
    """A list of the images of a split.

    Attributes:
        file: The list.
        split: train, val or test.
        rows: The names that each line states for one image: its path, and perhaps that of its label file.
    """

    file: Path
    split: str
    rows: Sequence[Sequence[str]]


class _Match(NamedTuple):
    """The lines of lists that end most like the path of an image.

    Attributes:
        lines: The first names of the lines, without suffix; empty if none ends with the name of the image.
        parts: How many folders and names at the end are equal.
        name: The path of the image, without suffix.
        is_whole: All parts of the line, or of the image's path, are equal.
    """

    lines: Collection[str] = ()
    parts: int = 0
    name: str = ""
    is_whole: bool = False


class SplitLists:
    """The splits of images by the lists of a folder."""

    def __init__(self, folder: Path, lists: Iterable[SplitList] | None = None) -> None:
        """Index the names in lists.

        Args:
            folder: That of the lists; it may be absent.
            lists: The lists; without them those of the folder that are named after splits alone, since
                cat_train.txt is one of a class.

        Raises:
            UserError: A list of the folder is not a text file.
        """
        self._folder = folder
        self._lists: dict[Path, str] = {}
        self._files: dict[str, set[Path]] = defaultdict(set)
        self._rows: dict[str, dict[str, None]] = defaultdict(dict)
        for one in _read_lists(folder) if lists is None else lists:
            self._lists[one.file] = one.split
            for row in one.rows:
                first, *others = map(_remove_suffix, row)
                self._files[first].add(one.file)
                for name in (first, *others):
                    self._rows[name][first] = None
        self._names: dict[str, list[str]] = defaultdict(list)
        for name in self._rows:
            self._names[name.rpartition("/")[2]].append(name)
        self._tails: dict[str, Mapping[str, Collection[str]]] = {}
        self._used: set[Path] = set()
        self._twice = self._unclear = 0

    def find_splits(self, images: Iterable[Iterable[str]]) -> list[str | None]:
        """Return the split of each image; None if no list names it.

        A line may be the image's path or its end, with or without a suffix, and with a flag of a class. Its
        outer folders may differ from those of the image: of several lines the one that ends most like the
        image's path counts, and the name alone if one line and one image have it.

        Args:
            images: Of each image the possible names, or paths.
        """
        matches = [self._match_lines(names) for names in images]
        longest: dict[str, int] = {}
        names: dict[str, set[str]] = defaultdict(set)
        for match in matches:
            for line in match.lines if match.is_whole or len(match.lines) == 1 else ():
                longest[line] = max(longest.get(line, 0), match.parts)
                if not match.is_whole:
                    names[line].add(match.name)

        def is_clear(match: _Match) -> bool:
            if match.is_whole or len(match.lines) != 1:
                return match.is_whole
            [line] = match.lines
            return match.parts == longest[line] and len(names[line]) == 1

        self._unclear += sum(bool(match.lines) and not is_clear(match) for match in matches)
        return [self._choose_split(match.lines) if is_clear(match) else None for match in matches]

    def _match_lines(self, names: Iterable[str]) -> _Match:
        """Find the lines that end most like one of the names of an image; of equal names the first counts."""
        found = _Match()
        for name in map(_remove_suffix, names):
            for tail in _list_tails(name):
                parts = tail.count("/") + 1
                if parts <= found.parts:
                    break
                if lines := self._find_lines(tail):
                    found = _Match(lines, parts, name, tail == name or tail in self._rows)
                    break
        return found

    def _find_lines(self, tail: str) -> Collection[str]:
        """Find the line that is the end of a path, or else the lines that have this end, too."""
        if tail in self._rows:
            return self._rows[tail]
        stem = tail.rpartition("/")[2]
        names = self._names.get(stem, [])
        if len(names) < 2:
            return [row for name in names if f"/{name}".endswith(f"/{tail}") for row in self._rows[name]]
        if stem not in self._tails:
            self._tails[stem] = self._index_tails(names)
        return self._tails[stem].get(tail, ())

    def _index_tails(self, names: Iterable[str]) -> Mapping[str, Collection[str]]:
        """Return the lines by each end of their names: that of a/b/c by a/b/c, b/c and c."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        for name in names:
            for tail in _list_tails(name):
                found[tail] |= self._rows[name]
        return found

    def _choose_split(self, lines: Collection[str]) -> str | None:
        files = {file for line in lines for file in self._files[line]}
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
        unused = [file for file in self._lists if file not in self._used and file.stat().st_size]
        place = self._folder.name
        remarks = []
        if unused:
            name = "names" if len(unused) == 1 else "name"
            listed = _list_few([f"{place}/{format_relative_path(file, self._folder)}" for file in unused])
            remarks.append(f"{listed} {name} none of the images: left aside")
        if self._twice:
            images = format_count(self._twice, "image")
            remarks.append(
                f"the lists in {place} name {images} in more than one split: each is kept in the held-out one"
            )
        if self._unclear:
            images = format_count(self._unclear, "image has", "images have")
            remarks.append(
                f"{images} a name that the lists in {place} state in other folders: in none of their splits"
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
        splits = lists.find_splits([image.source] for image in source.images)
        named = [split for split in splits if split]
        inside = "" if place == folder else f"{format_relative_path(place, folder)}/"
        files = _list_few([f"{inside}{name}" for name in lists.files])
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
    if any(not file.stem.isalpha() for file in found):
        stems = _list_image_stems(folder)
        found = {
            file: split for file, split in found.items() if file.stem.isalpha() or file.stem not in stems
        }
    yield from found.items()
    both = next((file for file in files if words[file] == [_BOTH]), None)
    if both and "train" not in found.values():
        yield both, "train"


def _read_lists(folder: Path) -> Iterator[SplitList]:
    """Read the lists of a folder; a line may be a name that ends with a number, or a name and a flag.

    Raises:
        UserError: A list is not a text file.
    """
    for file, split in _find_lists(folder):
        lines = [line for line in map(str.strip, read_lines(file)) if line]
        flagged = [found[1] for line in lines if (found := _FLAG.fullmatch(line))]
        yield SplitList(file, split, [[name] for name in (*lines, *flagged)])


def _list_image_stems(folder: Path) -> set[str]:
    """List the names, without suffix, of the images whose label files may lie in a folder.

    A file such as train_0001.txt is the label file of one of them, and no list.
    """
    beside = iterate_files(folder, *IMAGE_SUFFIXES, deep=False)
    inner = [place for place in list_subfolders(folder) if place.name.lower() in _IMAGE_FOLDERS]
    below = (path for place in inner for path in iterate_files(place, *IMAGE_SUFFIXES))
    return {path.stem for path in chain(beside, below)}


def _list_few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{', '.join(names[:_MAX_NAMED])}{more}"


def _list_words(stem: str) -> Sequence[str]:
    return [word for word in re.split(r"[^a-z]+", stem.lower()) if word]


def _remove_suffix(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/").removeprefix("./"))
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def _list_tails(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts))]
