"""Find the image that an annotation names: by a path of another machine, or a name that changed a little."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pipeline.edges.datasets.source import SUFFIXES, relative


class Match(NamedTuple):
    """The image that a name means; or why none does; and how its real name differs, if it does."""

    image: Path | None = None
    fault: str = ""
    note: str = ""


NOTHING: Final = Match(fault="there is no such image")


class Pictures:
    """The images of a source. A name can only ever lead to one of them, never out of the source."""

    def __init__(self, images: Sequence[Path]) -> None:
        self.all = images
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.all:
            self._by_stem[path.stem.casefold()].append(path)

    def find(self, names: Iterable[str], *, near: Path) -> Match:
        """Find an image by the first of several names that one bears.

        Args:
            names: As the annotation states them, with or without suffix; of a path counts what agrees with
                where the image lies.
            near: The folder of the annotation, which decides between images of one name.
        """
        found = (self._find(name, near) for name in names)
        return next((match for match in found if match != NOTHING), NOTHING)

    def _find(self, name: str, near: Path) -> Match:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts:
            return NOTHING
        last = PurePosixPath(parts[-1])
        known = last.suffix.lower() in SUFFIXES
        alike = self._by_stem.get((last.stem if known else last.name).casefold(), [])
        exact = [path for path in alike if path.name == last.name]
        cased = [path for path in alike if path.name.casefold() == last.name.casefold()]
        best = _nearest(exact or cased or alike, parts, near)
        if len(best) > 1:
            first, second, *_ = (relative(path, near) for path in best)
            return Match(fault=f"{len(best)} images bear this name, such as {first} and {second}")
        note = f"its annotation calls it {last.name}" if known and not exact else ""
        return Match(best[0], note=note) if best else NOTHING


def _nearest(paths: list[Path], parts: Sequence[str], near: Path) -> list[Path]:
    """Keep those whose path ends most like the stated one, and of these those nearest the annotation."""
    if len(paths) < 2:
        return paths
    tails = [common(reversed(path.parts[:-1]), reversed(parts[:-1])) for path in paths]
    longest = [path for path, tail in zip(paths, tails, strict=True) if tail == max(tails)]
    heads = [common(path.parts, near.parts) for path in longest]
    return [path for path, head in zip(longest, heads, strict=True) if head == max(heads)]


def common(one: Iterable[str], other: Iterable[str]) -> int:
    """Count how many parts of two paths agree from their beginning."""
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count
