"""Find which keypoints change places when an image is flipped (flip_idx)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pipeline.core.tasks import Keypoints

_SIDES: Final = {"left": "right", "right": "left", "l": "r", "r": "l"}
_SIDE_WORD: Final = re.compile(
    r"(?i:left|right|(?<![a-z])[lr](?![a-z]))"
    r"|(?<![A-Za-z])[LRlr](?=[A-Z])"  # LShoulder, lShoulder
    r"|(?<=[a-z0-9])[LR](?![A-Za-z])"  # eyeL
)

_NUMBERED_NAME: Final = re.compile(
    r"(?:new[\s_\-]*)?(?:kpt?|key[\s_\-]*point|point|pt?|landmark|corner|vertex)?[\s_\-]*\d+", re.IGNORECASE
)
"""Names that tools and readers give to points without one: `3`, `point_3`, `new-point-3`, `corner 3`."""

COCO_KEYPOINTS: Final = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The keypoints of a person in COCO, in order."""


def pair_keypoints_by_name(names: Sequence[str]) -> tuple[int, ...]:
    """Pair keypoints whose names differ in left and right, or in l and r: `left_eye`, `eye-l`, `LEye`.

    Returns:
        flip_idx: for each keypoint the index of its partner, or its own index if it has none. Empty if there
        are several keypoints and their names are mere numbers: it is not known which change places.
    """
    if len(names) > 1 and all(map(_NUMBERED_NAME.fullmatch, names)):
        return ()
    lower = [name.lower() for name in names]
    pairs = [_find_index(lower, _SIDE_WORD.sub(_swap_side, name).lower()) for name in names]
    return tuple(
        other if other is not None and pairs[other] == index else index for index, other in enumerate(pairs)
    )


def name_unnamed_keypoints(count: int) -> tuple[str, ...]:
    """Name keypoints without names: 17 as those of a person in COCO, others by their numbers."""
    if count == len(COCO_KEYPOINTS):
        return COCO_KEYPOINTS
    return tuple(f"point_{index}" for index in range(count))


def describe_guessed_keypoints(names: Sequence[str], advice: str) -> tuple[str, ...]:
    """Return a remark if keypoints without names were taken for those of a person in COCO.

    Args:
        names: The names that they were given.
        advice: What to set if they are others.
    """
    if tuple(names) != COCO_KEYPOINTS:
        return ()
    return (
        f"the {len(names)} keypoints have no names: taken for those of a person in COCO "
        f"({', '.join(names[:3])}, ...), of which left and right change places in a mirrored image; if they "
        f"are others, {advice}",
    )


def describe_unpaired_keypoints(keypoints: Keypoints, advice: str) -> tuple[str, ...]:
    """Return a remark if there are several keypoints, and none has a partner or their partners are unknown.

    Args:
        keypoints: The keypoints.
        advice: How to state which change places.
    """
    flip = keypoints.flip
    if not flip:
        return (
            f"the {keypoints.count} keypoints have no names, and nothing states which of them change places "
            "in a mirrored image: no image is mirrored, in copies or in the training, whatever fliplr and "
            f"flipud are; to mirror images, {advice}",
        )
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
