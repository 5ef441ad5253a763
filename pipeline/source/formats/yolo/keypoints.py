"""Parse the keypoints of a data.yaml: kpt_shape, kpt_names, flip_idx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.source.formats.yolo.plain_yaml import is_plain_value
from pipeline.source.reading.flip_pairs import (
    COCO_KEYPOINTS,
    describe_guessed_keypoints,
    describe_unpaired_keypoints,
    name_unnamed_keypoints,
    pair_keypoints_by_name,
)

_MAX_KEYPOINTS: Final = 10_000

_SIGMAS: Final = "kpt_oks_sigmas"
"""The tolerance of each point, by which Ultralytics trains and measures poses."""
_FLIP_ADVICE: Final = "set flip_idx in data.yaml, or kpt_names such as left_eye and right_eye"
"""How data.yaml states which points change places in a mirrored image."""


def parse_kpt_shape(raw: Mapping[str, Any], file: Path) -> tuple[Keypoints | None, tuple[str, ...]]:
    """Parse kpt_shape, kpt_names and flip_idx; without flip_idx, left and right are paired by name.

    Without both it is not known which points change places in a mirrored image, unless there is one point, or
    17 as of a person in COCO.

    Returns:
        The keypoints, None if there is no kpt_shape; and remarks.

    Raises:
        UserError: A value is invalid.
    """
    if raw.get("kpt_shape") is None:
        return None, ()
    keypoints, remarks = _parse_keypoints(raw, file)
    return keypoints, (*remarks, *_describe_sigmas(raw, keypoints.count))


def _parse_keypoints(raw: Mapping[str, Any], file: Path) -> tuple[Keypoints, tuple[str, ...]]:
    count, dims = _parse_shape(raw["kpt_shape"], file)
    stated = _parse_names(raw, count, file)
    names = stated or name_unnamed_keypoints(count)
    if raw.get("flip_idx") not in (None, []):  # templates leave an empty list
        flip = _parse_flip_idx(raw["flip_idx"], count, file)
        if not stated and pair_keypoints_by_name(names) != flip:  # they are not those of a person in COCO
            names = tuple(f"point_{index}" for index in range(count))
        guessed = () if stated else describe_guessed_keypoints(names, "set kpt_names in data.yaml")
        return Keypoints(names, flip, dims), guessed
    keypoints = Keypoints(names, pair_keypoints_by_name(names), dims)
    unpaired = describe_unpaired_keypoints(keypoints, _FLIP_ADVICE)
    if not keypoints.flip:
        return keypoints, unpaired
    told = (
        ("data.yaml has no flip_idx: left and right are told by the points' names",)
        if stated
        else describe_guessed_keypoints(names, "set kpt_names and flip_idx in data.yaml")
    )
    return keypoints, (*told, *unpaired)


def _describe_sigmas(raw: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Return a remark if data.yaml has tolerances of its own, which are not used."""
    if not raw.get(_SIGMAS):
        return ()
    is_person = count == len(COCO_KEYPOINTS)
    used = "those of a person in COCO" if is_person else f"1/{count} of the object's size for each"
    return (
        f"{_SIGMAS} of data.yaml is not used: the tolerances of the points are {used}, in training and in "
        "mAP, which is not that of `yolo val` with this file",
    )


def _parse_shape(stated: Any, file: Path) -> tuple[int, Literal[2, 3]]:
    match stated:
        case [int(count), 2 | 3 as dims] if 0 < count <= _MAX_KEYPOINTS:
            return count, dims
    raise UserError(f"kpt_shape in {file} is not [number of keypoints, 2 or 3]: correct it")


def _parse_flip_idx(stated: Any, count: int, file: Path) -> tuple[int, ...]:
    are_integers = isinstance(stated, list) and all(type(index) is int for index in stated)
    if not are_integers or sorted(stated) != list(range(count)):
        raise UserError(f"flip_idx in {file} is not a permutation of 0 to {count - 1}: state each index once")
    return tuple(stated)


def _parse_names(raw: Mapping[str, Any], count: int, file: Path) -> tuple[str, ...]:
    """Return kpt_names, which Ultralytics states per class; none unless they are `count` different ones."""
    stated = raw.get("kpt_names")
    if isinstance(stated, dict):
        stated = next(iter(stated.values()), None)
    if not isinstance(stated, list) or len(stated) != count:
        return ()
    if not all(map(is_plain_value, stated)):
        raise UserError(f"kpt_names in {file} is not a list of texts: correct it")
    names = tuple(map(str, stated))
    return names if len({*names}) == count else ()
