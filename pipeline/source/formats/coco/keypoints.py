"""Infer from COCO JSON whether the annotations are poses, and how the keypoints are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple

from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.reading.flip_pairs import (
    COCO_KEYPOINTS,
    describe_unpaired_keypoints,
    pair_keypoints_by_name,
)
from pipeline.source.types import AnnotatedImage

_MIN_POSE_SHARE: Final = 0.95


class CocoKeypoints(NamedTuple):
    """The keypoints, None if the annotations are not poses; and remarks for the user."""

    keypoints: Keypoints | None = None
    remarks: tuple[str, ...] = ()


def infer_keypoints(files: Sequence[Mapping[str, Any]], images: Iterable[AnnotatedImage]) -> CocoKeypoints:
    """Infer a pose: at least 95% of the objects have the same number of keypoints."""
    counts = Counter(len(points) for image in images for points in _image_keypoints(image))
    total = sum(counts.values())
    with_points = Counter({number: times for number, times in counts.items() if number})
    if not with_points:
        return CocoKeypoints()
    usual, times = with_points.most_common(1)[0]
    if times < _MIN_POSE_SHARE * total:
        return CocoKeypoints(
            None, (f"{times} of {total} objects have {format_count(usual, 'key point')}: left aside",)
        )
    stated = list(dict.fromkeys(_keypoint_names(files, usual)))
    names = stated[0] if stated else _default_names(usual)
    several = ("categories name their key points differently: the first names are taken",)
    flip = pair_keypoints_by_name(names)
    return CocoKeypoints(
        Keypoints(names, flip), (*(several if len(stated) > 1 else ()), *describe_unpaired_keypoints(flip))
    )


def _image_keypoints(image: AnnotatedImage) -> Sequence[Sized]:
    return image.raw.keypoints or [()] * len(image.raw.classes)


def _keypoint_names(files: Sequence[Mapping[str, Any]], count: int) -> Iterable[tuple[str, ...]]:
    for row in (row for file in files for row in file["categories"]):
        names = row.get("keypoints")
        if isinstance(names, list) and len({*map(str, names)}) == len(names) == count:
            yield tuple(map(str, names))


def _default_names(count: int) -> tuple[str, ...]:
    if count == len(COCO_KEYPOINTS):
        return COCO_KEYPOINTS
    return tuple(f"point_{index}" for index in range(count))
