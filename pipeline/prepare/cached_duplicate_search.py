"""Search near duplicates among all images on all cores, with a cache: known pairs are not compared again.

The cache is keyed by the hashes of the images, and by the code and libraries of the search: the result for
two images depends on nothing else. The file has a digest; a damaged or changed file is ignored.
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

from pipeline.prepare.duplicates import alignment, search
from pipeline.prepare.duplicates.search import (
    DuplicatePairs,
    KnownPairs,
    ThumbnailArray,
    find_near_duplicates,
)
from pipeline.prepare.images.cache import CHECK_MODULES, digest_modules
from pipeline.runtime.progress import Progress
from pipeline.runtime.worker_count import choose_worker_count
from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder

SEARCH_MODULES: Final = (*CHECK_MODULES, alignment, search)
"""Modules that decide the result of a search: a change in one of them invalidates the cache."""

_KEY_DIGITS: Final = 32
"""Digits of a SHA-256 that are kept: enough to distinguish any two images."""
_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class CachedDuplicateSearch:
    """Search near duplicates and cache the result.

    Args:
        file: The cache; it grows by about 35 bytes per image.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._code_digest = digest_modules(SEARCH_MODULES)

    def find(self, thumbnails: ThumbnailArray, hashes: Sequence[str]) -> DuplicatePairs:
        """Find the pairs of images that are near duplicates.

        Args:
            thumbnails: (n, THUMBNAIL_SIDE, THUMBNAIL_SIDE) gray levels.
            hashes: SHA-256 of the n images, ascending.
        """
        keys = [sha256[:_KEY_DIGITS] for sha256 in hashes]
        known = self._load(keys)
        pairs = find_near_duplicates(thumbnails, known, parallel_map=_run_on_all_cores)
        if known is None or not known.compared.all():
            self._save(keys, pairs)
        return pairs

    def _load(self, keys: Sequence[str]) -> KnownPairs | None:
        """Return the known pairs of these images; None where the file is damaged or from other code."""
        try:
            digest, _, text = self._file.read_text("ascii").partition("\n")
            return _parse_known_pairs(text, keys) if digest == self._digest(text) else None
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            return None

    def _save(self, keys: Sequence[str], pairs: DuplicatePairs) -> None:
        rows = np.stack(pairs, axis=1).tolist()
        text = json.dumps({"images": "".join(keys), "pairs": rows}, allow_nan=False)
        with suppress(OSError):  # without a cache, the next run only takes longer
            write_file(self._file, f"{self._digest(text)}\n{text}")

    def _digest(self, text: str) -> str:
        return hashlib.blake2b(f"{self._code_digest}\n{text}".encode(), digest_size=16).hexdigest()


def locate_search_cache(source: str | Sequence[str] | None) -> Path:
    """Return the cache file of a source; each source has its own, so that none replaces another."""
    name = hashlib.sha256(str(source).encode()).hexdigest()[:16]
    return create_scratch_folder("compared") / f"{name}.json"


def _parse_known_pairs(text: str, keys: Sequence[str]) -> KnownPairs:
    """Parse a cached search; convert its row numbers to those of the current images."""
    cached = json.loads(text)
    rows = {key: row for row, key in enumerate(keys)}
    joined = cached["images"]
    cached_keys = [joined[at : at + _KEY_DIGITS] for at in range(0, len(joined), _KEY_DIGITS)]
    current_rows = np.array([rows.get(key, -1) for key in cached_keys], np.int64)
    known = np.zeros(len(keys), np.bool_)
    known[current_rows[current_rows >= 0]] = True
    first, second, orientation = np.array(cached["pairs"], np.int64).reshape(-1, 3).T
    pairs = DuplicatePairs(current_rows[first], current_rows[second], orientation)
    return KnownPairs(known, pairs.select((pairs.first >= 0) & (pairs.second >= 0)))


def _run_on_all_cores(work: Callable[[_Part], _Result], parts: Sequence[_Part], /) -> Iterable[_Result]:
    """Run the work in threads: numpy releases the interpreter's lock while it compares."""
    progress = Progress("prepare", len(parts), unit="blocks of images compared")
    with ThreadPoolExecutor(choose_worker_count(), thread_name_prefix="compare") as pool:
        yield from progress.track(pool.map(work, parts))
