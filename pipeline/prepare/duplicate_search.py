"""Near copies among all images, searched on all cores; what the last search compared is not compared again.

Kept by the images' hashes, for the code and libraries that compared them: whether two are near copies depends
on these two alone. The file has a digest of itself; one that does not fit it counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from tqdm import tqdm

from pipeline.prepare.duplicates import alignment, budget, search
from pipeline.prepare.duplicates.search import DuplicatePairs, KnownPairs, ThumbnailArray
from pipeline.prepare.images import cache
from pipeline.prepare.images.cache import digest_of
from pipeline.runtime import workers
from pipeline.storage import files

CODE: Final = (*cache.CODE, alignment, budget)
"""Modules that decide what is a near copy."""

_DIGITS: Final = 32
"""Of a hash: enough to tell any two images apart."""
_Part = TypeVar("_Part")
_Made = TypeVar("_Made")


class CachedDuplicateSearch:
    """A search for near copies that remembers.

    Args:
        file: What it remembers; it grows by some 35 bytes an image.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._code = digest_of(CODE)

    def find(self, thumbnails: ThumbnailArray, hashes: Sequence[str]) -> DuplicatePairs:
        """Find the pairs of images that are near copies of one another.

        Args:
            thumbnails: (n, SIDE, SIDE) gray levels.
            hashes: SHA-256 of the n images, ascending.
        """
        keys = [sha256[:_DIGITS] for sha256 in hashes]
        known = self._known(keys)
        found = search.find(thumbnails, known, spread=_on_all_cores)
        if known is None or not known.among.all():
            self._keep(keys, found)
        return found

    def _known(self, keys: Sequence[str]) -> KnownPairs | None:
        """Return what is known of these images; nothing where the file is damaged or of other code."""
        try:
            digest, _, text = self._file.read_text("ascii").partition("\n")
            return _recall(text, keys) if digest == self._digest(text) else None
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            return None

    def _keep(self, keys: Sequence[str], found: DuplicatePairs) -> None:
        pairs = np.stack(found, axis=1).tolist()
        text = json.dumps({"images": "".join(keys), "pairs": pairs})
        with suppress(OSError):  # then the next run takes longer
            files.write(self._file, f"{self._digest(text)}\n{text}")

    def _digest(self, text: str) -> str:
        return hashlib.blake2b(f"{self._code}\n{text}".encode(), digest_size=16).hexdigest()


def place(source: str | None) -> Path:
    """Return the file of a source's search: those of several sources do not push one another out."""
    name = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    return files.scratch("compared") / f"{name}.json"


def _recall(text: str, keys: Sequence[str]) -> KnownPairs:
    """Put what is known of images into the terms of those that are there now."""
    kept = json.loads(text)
    rows = {key: row for row, key in enumerate(keys)}
    before = [kept["images"][at : at + _DIGITS] for at in range(0, len(kept["images"]), _DIGITS)]
    now = np.array([rows.get(key, -1) for key in before], np.int64)
    among = np.zeros(len(keys), np.bool_)
    among[now[now >= 0]] = True
    first, second, turn = np.array(kept["pairs"], np.int64).reshape(-1, 3).T
    pairs = DuplicatePairs(now[first], now[second], turn)
    return KnownPairs(among, pairs.at((pairs.first >= 0) & (pairs.second >= 0)))


def _on_all_cores(work: Callable[[_Part], _Made], parts: Sequence[_Part], /) -> Iterable[_Made]:
    """Do the work in threads, with a progress bar: numpy compares outside the interpreter's lock."""
    with ThreadPoolExecutor(workers.cores(), thread_name_prefix="compare") as pool:
        yield from tqdm(pool.map(work, parts), total=len(parts), desc="compare", unit="block", disable=None)
