"""COCO's run-length encoding (RLE) of masks, as pycocotools writes and reads it, for cropped masks.

The pixels are counted column by column: first those outside the object, then those inside, and so on. The
counts are written as differences to the last but one, in groups of five bits, each group one letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.geometry.masks import ObjectMask

_GROUP_BITS: Final = 5
_CONTINUES: Final = 0x20
"""Set in each group of a number but the last."""
_NEGATIVE: Final = 0x10
"""Set in the last group of a number below zero."""
_FIRST_LETTER: Final = 48
_MAX_GROUPS: Final = 8
"""Groups of a number: 40 bits are enough for the pixels of any image."""


def encode_masks(masks: Sequence[ObjectMask], size: tuple[int, int]) -> list[str]:
    """Encode masks as COCO's compressed counts.

    Args:
        masks: They are inside the image.
        size: Width and height of the image in pixels.
    """
    deltas = [_to_deltas(_count_runs(mask, size)) for mask in masks]
    lengths = [len(each) for each in deltas]
    letters, per_number = _write_letters(np.concatenate([np.zeros(0, np.int64), *deltas]))
    ends = np.append(0, np.cumsum(per_number))[np.append(0, np.cumsum(lengths, dtype=np.int64))]
    return [letters[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def decode_mask(counts: str, size: tuple[int, int]) -> ObjectMask:
    """Decode COCO's compressed counts to a mask that is cropped to its object.

    Args:
        counts: As `encode_masks` and pycocotools write them.
        size: Width and height of the image in pixels.

    Raises:
        ValueError: The text is no encoding of a mask of this size.
    """
    width, height = size
    runs = _from_deltas(_read_letters(counts))
    if (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"a mask does not fill {width} x {height} pixels")
    edges = np.cumsum(runs)
    starts, ends = edges[0 : len(edges) - 1 : 2], edges[1::2]
    inside = ends > starts
    return _draw_runs(starts[inside], ends[inside], height)


def _count_runs(mask: ObjectMask, size: tuple[int, int]) -> NDArray[np.int64]:
    """Count the pixels outside, inside, outside ... down the columns of the whole image."""
    width, height = size
    padded = np.pad(mask.pixels.T.astype(np.int8), ((0, 0), (1, 1)))
    changes = np.diff(padded, axis=1)
    starts, ends = (
        (columns + mask.left) * height + mask.top + rows
        for columns, rows in (np.nonzero(changes == change) for change in (1, -1))
    )
    first, last = np.append(True, starts[1:] != ends[:-1]), np.append(starts[1:] != ends[:-1], True)
    starts, ends = starts[first[: len(starts)]], ends[last[-len(ends) :] if len(ends) else []]
    edges = np.stack([starts, ends], axis=1).ravel()
    runs = np.diff(np.concatenate([[0], edges, [width * height]]))
    return runs[:-1] if len(edges) and runs[-1] == 0 else runs


def _draw_runs(starts: NDArray[np.int64], ends: NDArray[np.int64], height: int) -> ObjectMask:
    """Draw runs down the columns of an image, cropped to the columns and rows that they touch."""
    if not len(starts):
        return ObjectMask(0, 0, np.zeros((0, 0), bool))
    left, right = int(starts[0]) // height, (int(ends[-1]) - 1) // height + 1
    changes = np.zeros((right - left) * height + 1, np.int8)
    changes[starts - left * height] = 1
    np.subtract.at(changes, ends - left * height, 1)
    pixels = np.cumsum(changes[:-1], dtype=np.int8).reshape(right - left, height).T > 0
    rows = np.flatnonzero(pixels.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return ObjectMask(left, top, np.ascontiguousarray(pixels[top:bottom]))


def _to_deltas(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    deltas = counts.copy()
    deltas[3:] -= counts[1:-2]
    return deltas


def _from_deltas(deltas: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = deltas.copy()
    counts[1::2] = np.cumsum(deltas[1::2])
    counts[2::2] = np.cumsum(deltas[2::2])
    return counts


def _write_letters(numbers: NDArray[np.int64]) -> tuple[str, NDArray[np.int64]]:
    """Write numbers as letters; return how many letters each has, too."""
    groups = numbers[:, None] >> (_GROUP_BITS * np.arange(_MAX_GROUPS))
    bits, rest = groups & 0x1F, groups >> _GROUP_BITS
    is_last = rest == np.where(bits & _NEGATIVE, -1, 0)
    per_number = is_last.argmax(axis=1) + 1
    place = np.arange(_MAX_GROUPS)
    letters = bits + np.where(place < per_number[:, None] - 1, _CONTINUES, 0) + _FIRST_LETTER
    text = letters[place < per_number[:, None]].astype(np.uint8).tobytes().decode("ascii")
    return text, per_number


def _read_letters(text: str) -> NDArray[np.int64]:
    """Read the numbers of a text.

    Raises:
        ValueError: It has other letters, or ends within a number.
    """
    groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - _FIRST_LETTER
    last = np.flatnonzero((groups & _CONTINUES) == 0)
    if not len(groups) or groups.min() < 0 or groups.max() > 0x3F or last[-1:].tolist() != [len(groups) - 1]:
        raise ValueError(f"no run-length encoding: {text[:40]!r}")
    first = np.append(0, last[:-1] + 1)
    if (last - first).max() >= _MAX_GROUPS:
        raise ValueError(f"a number of a run-length encoding is too large: {text[:40]!r}")
    place = np.arange(len(groups)) - np.repeat(first, last - first + 1)
    values = np.add.reduceat((groups & 0x1F) << (_GROUP_BITS * place), first)
    negative = (groups[last] & _NEGATIVE) > 0
    return np.where(negative, values - (1 << (_GROUP_BITS * (last - first + 1))), values)
