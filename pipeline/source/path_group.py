"""Find the images among many of one name whose folders are most like others, without comparing each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path


class PathGroup:
    """Image files of which some are looked up by their folders.

    A lookup takes as long as a path has parts: the files are divided by a part when it is first asked for.

    Attributes:
        paths: The files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self._divided: dict[int, Mapping[str, PathGroup]] = {}

    @cached_property
    def members(self) -> frozenset[Path]:
        """Return the files as a set."""
        return frozenset(self.paths)

    def keep_equal_ends(self, folders: Sequence[str]) -> PathGroup:
        """Keep the files whose folders have most last parts in common with others."""
        return self._keep_equal_parts((-2 - index, part) for index, part in enumerate(reversed(folders)))

    def keep_equal_starts(self, parts: Sequence[str]) -> PathGroup:
        """Keep the files whose paths have most first parts in common with another."""
        return self._keep_equal_parts(enumerate(parts))

    def _keep_equal_parts(self, parts: Iterable[tuple[int, str]]) -> PathGroup:
        """Keep the files with the same parts at the given places, as far as there are such files."""
        group = self
        for place, part in parts:
            if len(group.paths) < 2:
                break
            if part not in (inner := group._divide(place)):
                break
            group = inner[part]
        return group

    def _divide(self, place: int) -> Mapping[str, PathGroup]:
        """Return the files by the part of their paths at a place; those of shorter paths are left out."""
        if place not in self._divided:
            found: dict[str, list[Path]] = defaultdict(list)
            for path in self.paths:
                parts = path.parts
                if -len(parts) <= place < len(parts):
                    found[parts[place]].append(path)
            same = len(found) == 1 and len(next(iter(found.values()))) == len(self.paths)
            self._divided[place] = {part: self if same else PathGroup(paths) for part, paths in found.items()}
        return self._divided[place]
