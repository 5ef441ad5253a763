"""Find the image that an annotation names: by a path of another machine, or a name that changed a little."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from unicodedata import normalize

from pipeline.source.reading.file_tree import SUFFIXES, relative
from pipeline.source.types import split_of


class NameMatch(NamedTuple):
    """The image that a name means, or why none does.

    Attributes:
        image: If there is one.
        fault: Why there is none.
        note: How its real name differs, if it does.
        doubt: 0 where the name and all that is known of its folder agree; 1 where only the folder differs;
            from 2 where letters differ in case; from 4 where the suffix differs.
        name: As the annotation states it.
        place: The folder that the name or the annotation states; empty where neither does.
    """

    image: Path | None = None
    fault: str = ""
    note: str = ""
    doubt: int = 0
    name: str = ""
    place: str = ""


NOTHING: Final = NameMatch(fault="there is no such image")


class ImageIndex:
    """The images of a source. A name can only ever lead to one of them, never out of the source.

    Attributes:
        all: The images.
        at: Each by its path as text.
    """

    def __init__(self, images: Sequence[Path]) -> None:
        self.all = images
        self.at = {str(path): path for path in images}
        places = {os.path.dirname(name) for name in self.at}  # noqa: PTH120 - of 100,000 images, see relative
        self._root = Path(os.path.commonpath(places)) if images else Path()
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.all:
            self._by_stem[plain(path.stem)].append(path)

    def find(self, names: Iterable[str], *, near: Path, alone: bool = False) -> NameMatch:
        """Find an image by several names that it may bear: by the first, unless a later one leaves no doubt.

        Args:
            names: As the annotation states them, with or without suffix; of a path counts what agrees with
                where the image lies.
            near: The folder of the annotation, which decides between images of one name.
            alone: The annotation is of one image: its own folder stands for one that the name leaves out.
        """
        found: list[NameMatch] = []
        for name in names:
            match = self._find(name, near, alone=alone)
            if match.image and not match.doubt and (not found or found[0].image):
                return match
            found += [match] if match != NOTHING else []
        return found[0] if found else NOTHING

    def _find(self, name: str, near: Path, *, alone: bool) -> NameMatch:
        parts = PurePosixPath(name.replace("\\", "/").lstrip("/")).parts
        if not parts:
            return NOTHING
        last = PurePosixPath(parts[-1])
        known = last.suffix.lower() in SUFFIXES
        alike = self._by_stem.get(plain(last.stem if known else last.name), [])
        exact = [path for path in alike if last.name == (path.name if known else path.stem)]
        cased = [path for path in alike if plain(path.name) == plain(last.name) or not known]
        best = self._nearest(exact or cased or alike, parts, near)
        if len(best) > 1:
            first, second, *_ = (relative(path, near) for path in best)
            return NameMatch(fault=f"{len(best)} images bear this name, such as {first} and {second}")
        if not best:
            return NOTHING
        folder = best[0].parent
        stated = parts[:-1] or (_beyond(near, folder) if alone else ())
        if _other_split(folder, stated, near):
            return NOTHING
        place = "/".join(parts[:-1]) or (str(near) if alone else "")
        doubt = (0 if exact else 2 if cased else 4) + (not _agrees(folder, self._root, stated, near))
        note = f"its annotation calls it {last.name}" if known and not exact else ""
        return NameMatch(best[0], note=note, doubt=doubt, name=name, place=place)

    def _nearest(self, paths: list[Path], parts: Sequence[str], near: Path) -> list[Path]:
        """Keep the one right at the stated place; else those that end most like it and lie nearest."""
        if len(paths) < 2:
            return paths
        stated = Path(*parts[:-1])
        here, below = (
            [path for path in paths if path.parent == place / stated] for place in (near, self._root)
        )
        return here or below or _nearest(paths, parts, near)


@lru_cache(maxsize=1000)
def _agrees(folder: Path, root: Path, stated: tuple[str, ...], near: Path) -> bool:
    """Tell whether the folders of an image end as stated; one of the paths may begin further up."""
    own = folder.relative_to(root).parts
    tail = common(reversed(folder.parts), reversed(stated))
    return folder == near.joinpath(*stated) or tail == len(stated) or tail >= len(own) > 0


def plain(name: str) -> str:
    """Return a name without capitals, its accents joined to their letters: a Mac keeps them apart."""
    return (name if name.isascii() else normalize("NFC", name)).casefold()


def _nearest(paths: list[Path], parts: Sequence[str], near: Path) -> list[Path]:
    """Keep those whose path ends most like the stated one, and of these those nearest the annotation.

    Of images/a/x.jpg and images/b/x.jpg, as near as one another to labels/a/x.txt, the folders' ends tell.
    """
    longest = _most(paths, lambda path: common(reversed(path.parts[:-1]), reversed(parts[:-1])))
    nearest = _most(longest, lambda path: common(path.parts, near.parts))
    return _most(nearest, lambda path: common(reversed(path.parts[:-1]), reversed(near.parts)))


def _most(paths: list[Path], alike: Callable[[Path], int]) -> list[Path]:
    found = [alike(path) for path in paths]
    return [path for path, number in zip(paths, found, strict=True) if number == max(found)]


def _beyond(path: Path, other: Path) -> tuple[str, ...]:
    """Return the parts of a path after those that it shares with another."""
    return path.parts[common(path.parts, other.parts) :]


@lru_cache(maxsize=1000)
def _other_split(folder: Path, stated: tuple[str, ...], near: Path) -> bool:
    """Tell an image in the folder of one split that its annotation, or its folder, puts into another."""
    folders = (stated[-2:], _beyond(near, folder)), (_beyond(folder, near),)
    claimed, own = (
        next((split for parts in places for part in reversed(parts) if (split := split_of(part))), None)
        for places in folders
    )
    return bool(claimed and own and claimed != own)


def common(one: Iterable[str], other: Iterable[str]) -> int:
    """Count how many parts of two paths agree from their beginning."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
