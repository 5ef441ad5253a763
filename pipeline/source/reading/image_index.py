"""Find the image that an annotation names, even if its path or the spelling of its name has changed."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from unicodedata import normalize

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.source.path_group import PathGroup
from pipeline.source.reading.file_tree import format_relative_path
from pipeline.source.types import find_split_in_name


class NameMatch(NamedTuple):
    """The image that a name refers to, or why there is none.

    Attributes:
        image: The image file, if one was found.
        fault: Why none was found.
        note: How the real file name differs, if it does.
        doubt: 0 if the name and the known part of its folder match; 1 if only the folder differs; 2 or more
            if upper and lower case differ; 4 or more if the suffix differs; 8 or more if one of the names has
            the prefix of an upload.
        name: The name in the annotation.
        place: The folder that the name or the annotation states; empty if neither does.
    """

    image: Path | None = None
    fault: str = ""
    note: str = ""
    doubt: int = 0
    name: str = ""
    place: str = ""


UPLOAD_DOUBT: Final = 8
_UPLOAD_PREFIX: Final = re.compile(r"^(?!(?:19|20)\d\d[01]\d[0-3]\d-)[0-9a-f]{8}-(?=.)")
"""Label Studio puts this before the name of an uploaded file; a date such as 20240131- is none."""
_UPLOAD_FOLDER: Final = re.compile(r"(^|/)(upload/\d+|(data|media)/upload(/.*)?)$")
"""Folders of Label Studio's own storage, which are no part of a source."""

NO_MATCH: Final = NameMatch(fault="there is no such image")


class ImageIndex:
    """The images of a source, by name. A lookup returns only these images, never a file outside the source.

    Attributes:
        images: Paths of the images.
        by_path: The same, by the path as text.
    """

    def __init__(self, images: Sequence[Path]) -> None:
        self.images = images
        self.by_path = {str(path): path for path in images}
        places = {os.path.dirname(name) for name in self.by_path}  # noqa: PTH120 - faster, for 100,000 images
        self._root = Path(os.path.commonpath(places)) if images else Path()
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            self._by_stem[normalize_name(path.stem)].append(path)
        self._namesakes: dict[tuple[str, bool], tuple[int, PathGroup]] = {}

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], Sequence[Path]]:
        """The images whose names without suffix others have, too, by their folder and that name."""
        found: dict[tuple[str, str], list[Path]] = defaultdict(list)
        for stem, paths in self._by_stem.items():
            for path in paths if len(paths) > 1 else ():
                found[str(path.parent), stem].append(path)
        return found

    @cached_property
    def _by_uploaded_stem(self) -> Mapping[str, Sequence[Path]]:
        """The images whose names have the prefix of an upload, by the name without it."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            if (stem := _UPLOAD_PREFIX.sub("", path.stem)) != path.stem:
                found[normalize_name(stem)].append(path)
        return found

    def find(self, names: Iterable[str], *, near: Path, single_image: bool = False) -> NameMatch:
        """Find an image by several possible names: by the first, unless a later one matches without doubt.

        Args:
            names: Names in the annotation, with or without suffix; of a path, the last parts that match the
                image's own path count.
            near: The folder of the annotation; it decides between images with the same name.
            single_image: The annotation file is about one image; its folder is used if the name has none.
        """
        found: list[NameMatch] = []
        stated = list(names)
        for name in stated:
            match = self._find_at_place(name, near, single_image=single_image)
            if match.image and not match.doubt and (not found or found[0].image):
                return match
            found += [match] if match != NO_MATCH else []
        uploads = (self._find_upload(name, near, single_image=single_image) for name in stated)
        return found[0] if found else next((match for match in uploads if match != NO_MATCH), NO_MATCH)

    def _find_at_place(self, name: str, near: Path, *, single_image: bool) -> NameMatch:
        """Find an image at the stated place; the folder of an upload says nothing about the source."""
        match = self._find(name, near, single_image=single_image)
        folder, _, last = name.replace("\\", "/").rpartition("/")
        if (match.image and not match.doubt) or not _UPLOAD_FOLDER.search(folder):
            return match
        return self._find(last, near, single_image=single_image)

    def _find_upload(self, name: str, near: Path, *, single_image: bool) -> NameMatch:
        """Find an image whose name differs by the prefix of an upload, which it has or lacks."""
        folder, _, last = name.replace("\\", "/").rpartition("/")
        others = self._list_upload_variants(last)
        if not others:
            return NO_MATCH
        if len(others) > 1:
            return NameMatch(fault=f"{len(others)} uploads bear this name, such as {others[0]}")
        place = f"{folder}/{others[0]}" if folder else others[0]
        match = self._find_at_place(place, near, single_image=single_image)
        if not match.image:
            return match
        note = f"its annotation calls it {last}"
        return match._replace(doubt=match.doubt + UPLOAD_DOUBT, note=note, name=name)

    def _list_upload_variants(self, name: str) -> list[str]:
        """Return a name without the prefix of an upload; for a name without one, the uploads of that name."""
        if (bare := _UPLOAD_PREFIX.sub("", name)) != name:
            return [bare]
        known = _has_image_suffix(name)
        stem = normalize_name(PurePosixPath(name).stem if known else name)
        return [path.name if known else path.stem for path in self._by_uploaded_stem.get(stem, ())]

    def _find(self, name: str, near: Path, *, single_image: bool) -> NameMatch:
        parts = PurePosixPath(name.replace("\\", "/").lstrip("/")).parts
        if not parts:
            return NO_MATCH
        last = PurePosixPath(parts[-1])
        known = _has_image_suffix(last.name)
        stem = normalize_name(last.stem if known else last.name)
        spelling, group = self._find_namesakes(last.name, stem, known=known)
        best: Sequence[Path] = group.paths
        if len(best) > 1:
            at_places = (self._by_place.get((place, stem), ()) for place in self._list_places(parts, near))
            at_place = ([path for path in paths if path in group.members] for paths in at_places)
            best = next(filter(None, at_place), []) or _keep_most_similar(group, parts, near)
        if len(best) > 1:
            first, second, *_ = (format_relative_path(path, near) for path in best)
            return NameMatch(fault=f"{len(best)} images bear this name, such as {first} and {second}")
        if not best:
            return NO_MATCH
        folder = best[0].parent
        stated = parts[:-1] or (_own_parts(near, folder) if single_image else ())
        if _has_other_split(folder, stated, near):
            return NO_MATCH
        place = "/".join(parts[:-1]) or (str(near) if single_image else "")
        doubt = spelling + (not _folders_agree(folder, self._root, stated, near))
        note = f"its annotation calls it {last.name}" if known and spelling else ""
        return NameMatch(best[0], note=note, doubt=doubt, name=name, place=place)

    def _find_namesakes(self, name: str, stem: str, *, known: bool) -> tuple[int, PathGroup]:
        """Find the images whose names are most like one: exactly, but for case, or but for the suffix.

        Args:
            name: The name of an image, with or without a suffix.
            stem: The same without suffix, normalized.
            known: The name has the suffix of an image.

        Returns:
            The doubt about the spelling, 0, 2 or 4, and the images.
        """
        if (found := self._namesakes.get((name, known))) is not None:
            return found
        same_stem = self._by_stem.get(stem, [])
        exact = [path for path in same_stem if name == (path.name if known else path.stem)]
        cased = [path for path in same_stem if not known or normalize_name(path.name) == normalize_name(name)]
        found = (0 if exact else 2 if cased else 4), PathGroup(exact or cased or same_stem)
        if len(same_stem) > 1:
            self._namesakes[name, known] = found
        return found

    def _list_places(self, parts: Sequence[str], near: Path) -> tuple[str, str]:
        """Return the folder that a path states beside its annotation, and below the root."""
        stated = Path(*parts[:-1])
        return str(near / stated), str(self._root / stated)


def _has_image_suffix(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


@lru_cache(maxsize=1000)
def _folders_agree(folder: Path, root: Path, stated: tuple[str, ...], near: Path) -> bool:
    """Check that an image's folders end with the stated ones; one of the two paths may start higher up."""
    own = folder.relative_to(root).parts
    tail = count_common_parts(reversed(folder.parts), reversed(stated))
    return folder == near.joinpath(*stated) or tail == len(stated) or tail >= len(own) > 0


def normalize_name(name: str) -> str:
    """Return a name in lower case and Unicode NFC: macOS stores accents as separate characters."""
    return (name if name.isascii() else normalize("NFC", name)).casefold()


def _keep_most_similar(group: PathGroup, parts: Sequence[str], near: Path) -> Sequence[Path]:
    """Keep the images whose path ends most like the stated one, and of these those nearest the annotation.

    images/a/x.jpg and images/b/x.jpg are equally near to labels/a/x.txt: there the last folder decides.
    """
    longest = group.keep_equal_ends(parts[:-1])
    nearest = longest.keep_equal_starts(near.parts)
    return nearest.keep_equal_ends(near.parts).paths


def _own_parts(path: Path, other: Path) -> tuple[str, ...]:
    """Return the parts of a path after the parts that it shares with another path."""
    return path.parts[count_common_parts(path.parts, other.parts) :]


@lru_cache(maxsize=1000)
def _has_other_split(folder: Path, stated: tuple[str, ...], near: Path) -> bool:
    """Check whether the image's folder names one split and the annotation or its folder another."""
    folders = (stated[-2:], _own_parts(near, folder)), (_own_parts(folder, near),)
    claimed, own = (
        next(
            (split for parts in places for part in reversed(parts) if (split := find_split_in_name(part))),
            None,
        )
        for places in folders
    )
    return bool(claimed and own and claimed != own)


def count_common_parts(one: Iterable[str], other: Iterable[str]) -> int:
    """Count how many parts of two paths are equal from the start."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
