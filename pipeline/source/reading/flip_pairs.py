"""What each point of a pose becomes in a mirrored image: left and right change places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SIDES: Final = {"left": "right", "right": "left", "l": "r", "r": "l"}
_WORDS: Final = re.compile(
    r"(?i:left|right|(?<![a-z])[lr](?![a-z]))"
    r"|(?<![A-Za-z])[LRlr](?=[A-Z])"  # LShoulder, lShoulder
    r"|(?<=[a-z0-9])[LR](?![A-Za-z])"  # eyeL
)

COCO_POINTS: Final = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The points of a person in COCO, in their order."""


def flip_by_names(names: Sequence[str]) -> tuple[int, ...]:
    """Pair the points whose names differ in left and right, or a lone l and r: `left_eye`, `eye-l`, `LEye`.

    Returns:
        For each point the index of the one that it becomes; its own where there is no other side.
    """
    lower = [name.lower() for name in names]
    pairs = [_index(lower, _WORDS.sub(_other, name).lower()) for name in names]
    return tuple(
        other if other is not None and pairs[other] == index else index for index, other in enumerate(pairs)
    )


def kept_order(flip: Sequence[int]) -> tuple[str, ...]:
    """Return a remark where there are several points, and none was paired by its name."""
    if len(flip) < 2 or list(flip) != list(range(len(flip))):
        return ()
    return (
        "no points are named left and right: a mirrored image keeps their order "
        "(flip_idx in a data.yaml says otherwise)",
    )


def _other(found: re.Match[str]) -> str:
    return _SIDES[found.group().lower()]


def _index(names: Sequence[str], name: str) -> int | None:
    return names.index(name) if name in names else None
