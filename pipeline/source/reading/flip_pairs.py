"""Find which keypoints change places when an image is flipped (flip_idx)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SIDES: Final = {"left": "right", "right": "left", "l": "r", "r": "l"}
_SIDE_WORD: Final = re.compile(
    r"(?i:left|right|(?<![a-z])[lr](?![a-z]))"
    r"|(?<![A-Za-z])[LRlr](?=[A-Z])"  # LShoulder, lShoulder
    r"|(?<=[a-z0-9])[LR](?![A-Za-z])"  # eyeL
)

COCO_KEYPOINTS: Final = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The keypoints of a person in COCO, in order."""


def pair_keypoints_by_name(names: Sequence[str]) -> tuple[int, ...]:
    """Pair keypoints whose names differ in left and right, or in l and r: `left_eye`, `eye-l`, `LEye`.

    Returns:
        flip_idx: for each keypoint the index of its partner, or its own index if it has none.
    """
    lower = [name.lower() for name in names]
    pairs = [_find_index(lower, _SIDE_WORD.sub(_swap_side, name).lower()) for name in names]
    return tuple(
        other if other is not None and pairs[other] == index else index for index, other in enumerate(pairs)
    )


def describe_unpaired_keypoints(flip: Sequence[int]) -> tuple[str, ...]:
    """Return a remark if there are several keypoints and none has a partner."""
    if len(flip) < 2 or list(flip) != list(range(len(flip))):
        return ()
    return (
        "no points are named left and right: a mirrored image keeps their order "
        "(flip_idx in a data.yaml says otherwise)",
    )


def _swap_side(found: re.Match[str]) -> str:
    return _SIDES[found.group().lower()]


def _find_index(names: Sequence[str], name: str) -> int | None:
    return names.index(name) if name in names else None
