"""The points of a pose as a data.yaml of YOLO states them: kpt_shape, kpt_names, flip_idx."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.plain_yaml import plain
from pipeline.source.reading.flip_pairs import COCO_POINTS, flip_by_names, kept_order

_MOST_POINTS: Final = 10_000


def read(raw: Mapping[str, Any], file: Path) -> tuple[Keypoints | None, tuple[str, ...]]:
    """Read kpt_shape, kpt_names and flip_idx; where no flip_idx is given, pair left and right by name."""
    if raw.get("kpt_shape") is None:
        return None, ()
    count, dims = _shape(raw["kpt_shape"], file)
    names = _names(raw, count, file)
    if raw.get("flip_idx") is None:
        remark = "data.yaml has no flip_idx: left and right are told by the points' names"
        flip = flip_by_names(names)
        return Keypoints(names, flip, dims), (remark, *kept_order(flip))
    return Keypoints(names, _flip(raw["flip_idx"], count, file), dims), ()


def _shape(stated: Any, file: Path) -> tuple[int, Literal[2, 3]]:
    match stated:
        case [int(count), 2 | 3 as dims] if 0 < count <= _MOST_POINTS:
            return count, dims
    raise UserError(f"{file} has a kpt_shape that is not [number of points, 2 or 3]: write it so")


def _flip(stated: Any, count: int, file: Path) -> tuple[int, ...]:
    whole = isinstance(stated, list) and all(type(index) is int for index in stated)
    if not whole or sorted(stated) != list(range(count)):
        raise UserError(
            f"{file} has a flip_idx that is no exchange of {format_count(count, 'point')}: "
            "write each index once"
        )
    return tuple(stated)


def _names(raw: Mapping[str, Any], count: int, file: Path) -> tuple[str, ...]:
    """Return kpt_names, which Ultralytics gives per class; without it, the 17 points of COCO, or numbers."""
    stated = raw.get("kpt_names")
    if isinstance(stated, dict):
        stated = next(iter(stated.values()), None)
    if isinstance(stated, list) and len(stated) == count:
        if not all(map(plain, stated)):
            raise UserError(f"{file} has kpt_names that are no list of plain words: write them so")
        if len({*map(str, stated)}) == count:
            return tuple(map(str, stated))
    return COCO_POINTS if count == len(COCO_POINTS) else tuple(f"point_{index}" for index in range(count))
