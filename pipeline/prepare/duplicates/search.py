"""Find near duplicates among images: resized, re-encoded, cropped a little, brightened, rotated, mirrored.

Each image is compared as a small gray thumbnail. Pairs pass three filters, each slower and more exact than
the one before (docs/decisions/duplicates.md has the measurements). First a perceptual hash of 64 bits,
compared in all eight orientations. Then the cosine similarity of the low frequencies, which a tenth of these
pairs passes. Last `alignment`, which aligns one thumbnail with the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, IntArray
from pipeline.prepare.duplicates.alignment import MIN_SIMILARITY, measure_similarity
from pipeline.prepare.duplicates.perceptual_hash import (
    ORIENTATIONS,
    THUMBNAIL_SIDE,
    VECTOR_LENGTH,
    HashArray,
    compute_frequency_vectors,
    compute_hashes,
    orient_images,
    orient_vectors,
)

MAX_HASH_DISTANCE: Final = 16
"""Maximum number of different bits, of 64: 98 of 100 copies cropped by up to 5% per side have fewer."""

MIN_COSINE: Final = 0.78
"""Minimum cosine of the low frequencies: 98 of 100 such copies reach it."""

MAX_ALIGNED_PAIRS: Final = 2_000_000
"""Maximum number of pairs that are aligned, about half an hour on one core: 2,000 images of one place."""

MIN_COMPARED_SHARE: Final = 0.1
"""Share of a search before its number of pairs is extrapolated: images of one place may all come first."""

_HASH_ROWS, _HASH_COLUMNS = 64, 2048
"""Hashes that are compared at a time: few enough to stay in the processor's cache."""
_BLOCK_SIZE: Final = 256
"""Thumbnails that are transformed at a time."""
_PAIRS_AT_A_TIME: Final = 256
"""Pairs that are aligned at a time: limits memory to about 50 MB per core."""

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


class ThumbnailArray(Protocol):
    """Gray levels (n, THUMBNAIL_SIDE, THUMBNAIL_SIDE): an array, or a file that is read by rows."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class ThumbnailSubset:
    """Some rows of an array of thumbnails, in any order."""

    thumbnails: ThumbnailArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]:
        return self.thumbnails[self.rows[rows]]


NO_THUMBNAILS: Final = np.zeros((0, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)


class DuplicatePairs(NamedTuple):
    """Pairs of images.

    Attributes:
        first: (m,) index of one image.
        second: (m,) index of the other, above `first`.
        orientation: (m,) index into ORIENTATIONS: `first` in it is most similar to `second`.
    """

    first: IntArray
    second: IntArray
    orientation: IntArray

    def select(self, chosen: NDArray[np.bool_] | IntArray) -> DuplicatePairs:
        """Return some of the pairs, or all in another order."""
        return DuplicatePairs(*(column[chosen] for column in self))


NO_PAIRS: Final = DuplicatePairs(*(np.zeros(0, np.int64) for _ in DuplicatePairs._fields))


class KnownPairs(NamedTuple):
    """The result of an earlier search.

    Attributes:
        compared: (n,) which of the thumbnails it compared with each other.
        pairs: The pairs that it found among these.
    """

    compared: NDArray[np.bool_]
    pairs: DuplicatePairs


class PairBlock(NamedTuple):
    """Thumbnails that are compared at a time: each one of `rows` with the later ones of `columns`."""

    rows: IntArray
    columns: IntArray


class ParallelMap(Protocol):
    """Map a function over parts, on one core or several; results keep the order of the parts."""

    def __call__(self, work: Callable[[_Part], _Result], parts: Sequence[_Part], /) -> Iterable[_Result]:
        """Return the result of each part."""


class TooManyPairsError(Exception):
    """So many images are similar that aligning all pairs would take hours; the argument is their number."""


class PairBudget:
    """Count the similar pairs of a search, and stop it when there are too many. It is thread-safe.

    Args:
        total: Number of pairs of images to compare.
        limit: Maximum number of similar pairs.
    """

    def __init__(self, total: int, limit: int) -> None:
        self._total, self._limit = total, limit
        self._similar = self._compared = 0
        self._lock = Lock()

    def add(self, *, similar: int = 0, compared: int = 0) -> None:
        """Count pairs that are similar, and pairs that were compared.

        Raises:
            TooManyPairsError: There are too many, or there will be if the rest is like what was compared.
        """
        with self._lock:
            self._similar += similar
            self._compared += compared
            can_extrapolate = self._compared and self._compared >= MIN_COMPARED_SHARE * self._total
            expected = self._similar * self._total // self._compared if can_extrapolate else self._similar
        if expected > self._limit:
            raise TooManyPairsError(expected)


def run_sequentially(work: Callable[[_Part], _Result], parts: Sequence[_Part], /) -> Iterable[_Result]:
    """Map a function over parts on one core."""
    return map(work, parts)


def find_near_duplicates(
    thumbnails: ThumbnailArray,
    known: KnownPairs | None = None,
    *,
    parallel_map: ParallelMap = run_sequentially,
) -> DuplicatePairs:
    """Find the pairs of images that are near duplicates.

    Whether two images are a pair depends only on these two, and on which of them is first.

    Args:
        thumbnails: (n, THUMBNAIL_SIDE, THUMBNAIL_SIDE) gray levels.
        known: Pairs from an earlier search, which are not compared again.
        parallel_map: Distributes the work over cores.

    Returns:
        The pairs, sorted.

    Raises:
        TooManyPairsError: Too many images are similar; its argument is about how many pairs.
    """
    chunks = np.split(np.arange(len(thumbnails)), range(_BLOCK_SIZE, len(thumbnails), _BLOCK_SIZE))
    described = parallel_map(lambda rows: compute_frequency_vectors(thumbnails[rows]), chunks)
    vectors = np.concatenate([np.zeros((0, VECTOR_LENGTH), np.float32), *described])
    hashes = compute_hashes(vectors)
    blocks = _plan_blocks(vectors, known.compared if known else np.zeros(len(vectors), np.bool_))
    budget = PairBudget(sum(map(_count_pairs, blocks)), MAX_ALIGNED_PAIRS)

    def search_block(block: PairBlock) -> DuplicatePairs:
        similar = []
        for pairs in _compare_block(vectors, hashes, block):
            budget.add(similar=len(pairs.first))
            similar.append(pairs)
        budget.add(compared=_count_pairs(block))
        return _concatenate([_select_aligned(thumbnails, part) for part in _split(_concatenate(similar))])

    found = _concatenate([*([known.pairs] if known else []), *parallel_map(search_block, blocks)])
    return found.select(np.lexsort((found.second, found.first)))


def find_candidate_pairs(vectors: Float32Array) -> Iterator[DuplicatePairs]:
    """Yield the pairs that pass the first two filters, block by block.

    Args:
        vectors: (n, d) from `compute_frequency_vectors`.
    """
    hashes = compute_hashes(vectors)
    for block in _plan_blocks(vectors, np.zeros(len(vectors), np.bool_)):
        yield from _compare_block(vectors, hashes, block)


def _plan_blocks(vectors: Float32Array, compared: NDArray[np.bool_]) -> list[PairBlock]:
    """Plan the comparisons: all images with all, except those that were compared with each other before."""
    has_detail = ~np.isnan(vectors[:, 0])
    every, new = np.flatnonzero(has_detail), np.flatnonzero(has_detail & ~compared)
    return [
        PairBlock(rows, columns[np.searchsorted(columns, rows[0]) :])
        for chosen, columns in ((new, every), (np.flatnonzero(has_detail & compared), new))
        for rows in np.split(chosen, range(_HASH_ROWS, len(chosen), _HASH_ROWS))
        if len(rows) and len(columns) and columns[-1] > rows[0]
    ]


def _count_pairs(block: PairBlock) -> int:
    return len(block.rows) * len(block.columns)


def _compare_block(vectors: Float32Array, hashes: HashArray, block: PairBlock) -> Iterator[DuplicatePairs]:
    """Yield the pairs of a block that pass the first two filters, a few at a time."""
    rows = orient_vectors(vectors[block.rows])
    row_hashes = np.stack([compute_hashes(oriented) for oriented in rows])
    for row, column in _find_near_hashes(row_hashes, hashes[block.columns]):
        is_later = block.columns[column] > block.rows[row]
        near = DuplicatePairs(row[is_later], block.columns[column[is_later]], row[is_later])
        for first, second, _ in _split(near):
            cosines = np.einsum("tmd,md->tm", rows[:, first], vectors[second])
            pairs = DuplicatePairs(block.rows[first], second, cosines.argmax(axis=0))
            yield pairs.select(cosines.max(axis=0) >= MIN_COSINE)


def _find_near_hashes(
    row_hashes: NDArray[np.uint64], hashes: HashArray
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield indices of rows, in any orientation (8, r), and of hashes (n,) that differ in few bits."""
    for start in range(0, len(hashes), _HASH_COLUMNS):
        columns = hashes[start : start + _HASH_COLUMNS]
        distance = np.bitwise_count(row_hashes[0][:, None] ^ columns)
        for oriented in row_hashes[1:]:
            np.minimum(distance, np.bitwise_count(oriented[:, None] ^ columns), out=distance)
        row, column = np.nonzero(distance <= MAX_HASH_DISTANCE)
        if len(row):
            yield row, column + start


def _split(pairs: DuplicatePairs) -> Iterator[DuplicatePairs]:
    """Split into parts that fit into memory."""
    for start in range(0, len(pairs.first), _PAIRS_AT_A_TIME):
        yield pairs.select(np.arange(start, min(start + _PAIRS_AT_A_TIME, len(pairs.first))))


def _concatenate(parts: Sequence[DuplicatePairs]) -> DuplicatePairs:
    return DuplicatePairs(*(np.concatenate(column) for column in zip(NO_PAIRS, *parts, strict=True)))


def _select_aligned(thumbnails: ThumbnailArray, pairs: DuplicatePairs) -> DuplicatePairs:
    """Select the pairs that are similar in detail once they are aligned."""
    first = thumbnails[pairs.first].astype(np.float32)
    for number, orientation in enumerate(ORIENTATIONS):
        chosen = pairs.orientation == number
        first[chosen] = orient_images(first[chosen], orientation)
    similarity = measure_similarity(first, thumbnails[pairs.second].astype(np.float32))
    return pairs.select(similarity >= MIN_SIMILARITY)
