"""Which images show the same picture: resized, re-encoded, cropped a little, brightened, turned, mirrored.

Each image goes in as a small gray thumbnail, and pairs pass three sieves, each slower and finer
(docs/decisions/duplicates.md has the figures). First a perceptual hash of 64 bits, pHash's signs of low
cosine frequencies (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010),
compared in all eight turns. Then the same frequencies as numbers, of which a tenth passes. Last `alignment`,
which lays one thumbnail over the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, IntArray
from pipeline.prepare.duplicates import alignment
from pipeline.prepare.duplicates.alignment import SAME
from pipeline.prepare.duplicates.budget import PairBudget

SIDE: Final = 64
"""Width and height of a thumbnail in pixels, whatever the image's own proportions."""

BLANK: Final = 2.0
"""Standard deviation of gray levels up to which a thumbnail shows nothing that could be recognised."""

BITS_APART: Final = 16
"""Of 64, at most: of 100 copies cropped by up to 5% on each side, 98 lie nearer."""

ALIKE: Final = 0.78
"""Cosine of the low frequencies, at least: 98 of 100 such copies reach it."""

MOST: Final = 2_000_000
"""Pairs that are laid over one another, about half an hour on one core: 2,000 images of one place."""

_FREQUENCIES: Final = 10
"""Cosine frequencies per axis, from 0."""
_ROWS, _COLUMNS = 64, 2048
"""Hashes that are compared at a time, so few that they stay in the processor's cache."""
_BLOCK: Final = 256
"""Thumbnails that are transformed at a time."""
_PAIRS: Final = 256
"""Pairs that are laid over one another at a time: bounds memory to about 50 MB for each core."""

Codes = NDArray[np.uint64]
_Part = TypeVar("_Part")
_Made = TypeVar("_Made")


class ThumbnailArray(Protocol):
    """Gray levels (n, SIDE, SIDE): an array, or a file that is read where it is asked."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class ThumbnailSubset:
    """Some rows of many thumbnails, in another order maybe."""

    thumbnails: ThumbnailArray
    rows: IntArray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: IntArray, /) -> NDArray[np.uint8]:
        return self.thumbnails[self.rows[rows]]


class Orientation(NamedTuple):
    """One of the eight ways to turn or mirror a square: transposed first, then mirrored."""

    transposed: bool
    flipud: bool
    fliplr: bool


TURNS: Final = tuple(Orientation(*each) for each in product((False, True), repeat=3))


class DuplicatePairs(NamedTuple):
    """Pairs of images.

    Attributes:
        first: (m,) index of one image.
        second: (m,) index of the other, above `first`.
        turn: (m,) index into TURNS: `first` so turned is likest to `second`.
    """

    first: IntArray
    second: IntArray
    turn: IntArray

    def at(self, kept: NDArray[np.bool_] | IntArray) -> DuplicatePairs:
        """Return some of the pairs, or all in another order."""
        return DuplicatePairs(*(column[kept] for column in self))


class KnownPairs(NamedTuple):
    """What an earlier search told.

    Attributes:
        among: (n,) which of the thumbnails it compared with one another.
        pairs: The pairs that it found among these.
    """

    among: NDArray[np.bool_]
    pairs: DuplicatePairs


class PairBlock(NamedTuple):
    """Thumbnails that are compared at a time: each of `rows` with those of `columns` that stand after it."""

    rows: IntArray
    columns: IntArray


class ParallelMap(Protocol):
    """Do a piece of work for each part, on one core or several; what comes of it keeps the order."""

    def __call__(self, work: Callable[[_Part], _Made], parts: Sequence[_Part], /) -> Iterable[_Made]:
        """Return what the work makes of each part."""


def one_by_one(work: Callable[[_Part], _Made], parts: Sequence[_Part], /) -> Iterable[_Made]:
    """Do the work on one core."""
    return map(work, parts)


def find(
    thumbnails: ThumbnailArray, known: KnownPairs | None = None, *, spread: ParallelMap = one_by_one
) -> DuplicatePairs:
    """Find the pairs of images that are near copies of one another.

    Whether two are a pair depends on these two alone, and on which of them stands first.

    Args:
        thumbnails: (n, SIDE, SIDE) gray levels.
        known: Pairs that need not be looked for again.
        spread: Over how many cores.

    Returns:
        The pairs, sorted.

    Raises:
        Crowded: Too many look alike; its argument is about how many pairs.
    """
    blocks = np.split(np.arange(len(thumbnails)), range(_BLOCK, len(thumbnails), _BLOCK))
    vectors = np.concatenate([_EMPTY, *spread(lambda rows: describe(thumbnails[rows]), blocks)])
    codes, among = _codes(vectors), known.among if known else np.zeros(len(vectors), np.bool_)

    def search(block: PairBlock) -> DuplicatePairs:
        alike = []
        for pairs in _compare(vectors, codes, block):
            tally.add(alike=len(pairs.first))
            alike.append(pairs)
        tally.add(compared=_size(block))
        return _together([_judged(thumbnails, pairs) for pairs in _portions(_together(alike))])

    laid_out = _blocks(vectors, among)
    tally = PairBudget(sum(map(_size, laid_out)), MOST)
    found = _together([*([known.pairs] if known else []), *spread(search, laid_out)])
    return found.at(np.lexsort((found.second, found.first)))


def turned(images: NDArray[np.float32], turn: Orientation) -> NDArray[np.float32]:
    """Turn square images (n, s, s)."""
    found = images.swapaxes(1, 2) if turn.transposed else images
    mirrored: NDArray[np.float32] = found[:, :: -1 if turn.flipud else 1, :: -1 if turn.fliplr else 1]
    return mirrored


def describe(thumbnails: NDArray[np.uint8]) -> Float32Array:
    """Return the low frequencies of each thumbnail as a vector of length 1; of a blank one, no numbers.

    Roots of coefficients are taken, so that the few large ones do not outweigh all others.
    """
    spectrum = _COSINES @ thumbnails.astype(np.float32) @ _COSINES.T
    kept = spectrum[:, _ROW, _COLUMN] * np.sqrt(np.hypot(_ROW, _COLUMN)).astype(np.float32)
    vectors = np.sign(kept) * np.sqrt(np.abs(kept))
    shows = thumbnails.std(axis=(1, 2)) > BLANK
    length = np.where(shows, np.linalg.norm(vectors, axis=1), np.nan)
    found: Float32Array = (vectors / length[:, None]).astype(np.float32)
    return found


def candidates(vectors: Float32Array) -> Iterator[DuplicatePairs]:
    """Find the pairs that pass the first two sieves, block by block.

    Args:
        vectors: (n, d) as `describe` gives them.
    """
    codes = _codes(vectors)
    for block in _blocks(vectors, np.zeros(len(vectors), np.bool_)):
        yield from _compare(vectors, codes, block)


def _blocks(vectors: Float32Array, known: NDArray[np.bool_]) -> list[PairBlock]:
    """Lay out what is to be compared: all with all, but for the known with the known."""
    shown = ~np.isnan(vectors[:, 0])
    every, fresh = np.flatnonzero(shown), np.flatnonzero(shown & ~known)
    return [
        PairBlock(rows, columns[np.searchsorted(columns, rows[0]) :])
        for chosen, columns in ((fresh, every), (np.flatnonzero(shown & known), fresh))
        for rows in np.split(chosen, range(_ROWS, len(chosen), _ROWS))
        if len(rows) and len(columns) and columns[-1] > rows[0]
    ]


def _size(block: PairBlock) -> int:
    return len(block.rows) * len(block.columns)


def _compare(vectors: Float32Array, codes: Codes, block: PairBlock) -> Iterator[DuplicatePairs]:
    """Find the pairs of a block that pass the first two sieves, a few at a time."""
    rows = np.stack([vectors[block.rows][:, order] * sign for order, sign in _TURNED])
    near = _near(np.stack([_codes(turned_rows) for turned_rows in rows]), codes[block.columns])
    for one, other in near:
        later = block.columns[other] > block.rows[one]
        near_ones = DuplicatePairs(one[later], block.columns[other[later]], one[later])
        for first, second, _ in _portions(near_ones):
            cosines = np.einsum("tmd,md->tm", rows[:, first], vectors[second])
            pairs = DuplicatePairs(block.rows[first], second, cosines.argmax(axis=0))
            yield pairs.at(cosines.max(axis=0) >= ALIKE)


def _near(rows: NDArray[np.uint64], codes: Codes) -> Iterator[tuple[IntArray, IntArray]]:
    """Find the rows, turned in any of eight ways (8, r), and codes (n,) that differ in few bits."""
    for start in range(0, len(codes), _COLUMNS):
        others = codes[start : start + _COLUMNS]
        apart = np.bitwise_count(rows[0][:, None] ^ others)
        for turned_rows in rows[1:]:
            np.minimum(apart, np.bitwise_count(turned_rows[:, None] ^ others), out=apart)
        first, second = np.nonzero(apart <= BITS_APART)
        if len(first):
            yield first, second + start


def _codes(vectors: Float32Array) -> Codes:
    """Return the signs of the 64 lowest frequencies."""
    packed = np.ascontiguousarray(np.packbits(vectors[:, _LOWEST] > 0, axis=1))
    return packed.view(np.uint64)[:, 0]


def _portions(pairs: DuplicatePairs) -> Iterator[DuplicatePairs]:
    """Cut into portions that fit into memory."""
    for start in range(0, len(pairs.first), _PAIRS):
        yield pairs.at(np.arange(start, min(start + _PAIRS, len(pairs.first))))


def _together(found: Sequence[DuplicatePairs]) -> DuplicatePairs:
    return DuplicatePairs(*(np.concatenate(column) for column in zip(NO_PAIRS, *found, strict=True)))


def _judged(thumbnails: ThumbnailArray, pairs: DuplicatePairs) -> DuplicatePairs:
    """Keep the pairs whose details agree once one is laid over the other."""
    first = thumbnails[pairs.first].astype(np.float32)
    for number, turn in enumerate(TURNS):
        chosen = pairs.turn == number
        first[chosen] = turned(first[chosen], turn)
    agreed = alignment.likeness(first, thumbnails[pairs.second].astype(np.float32))
    return pairs.at(agreed >= SAME)


def _cosines() -> NDArray[np.float32]:
    frequency, place = np.arange(_FREQUENCIES)[:, None], np.arange(SIDE)[None] + 0.5
    return np.cos(np.pi * frequency * place / SIDE).astype(np.float32)


def _orders() -> list[tuple[IntArray, NDArray[np.float32]]]:
    """Return for each turn how it permutes the coefficients and changes their signs."""
    places = {place: number for number, place in enumerate(zip(_ROW.tolist(), _COLUMN.tolist(), strict=True))}
    swapped = np.array([places[column, row] for row, column in places])
    return [
        (
            swapped if turn.transposed else np.arange(len(places)),
            ((-1.0) ** (_ROW * turn.flipud + _COLUMN * turn.fliplr)).astype(np.float32),
        )
        for turn in TURNS
    ]


NO_PAIRS: Final = DuplicatePairs(*(np.zeros(0, np.int64) for _ in DuplicatePairs._fields))
_COSINES: Final = _cosines()
_GRID: Final = np.hypot(*np.mgrid[:_FREQUENCIES, :_FREQUENCIES])
_ROW, _COLUMN = np.nonzero((_GRID > 0) & (_GRID < _FREQUENCIES - 0.5))
LENGTH: Final = len(_ROW)
"""Of the vectors that `describe` returns."""
_EMPTY: Final = np.zeros((0, LENGTH), np.float32)
_LOWEST: Final = np.sort(np.argsort(np.hypot(_ROW, _COLUMN), kind="stable")[:64])
_TURNED: Final = _orders()
NONE: Final = np.zeros((0, SIDE, SIDE), np.uint8)
"""No thumbnails."""
