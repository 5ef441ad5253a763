"""The points of a pose as the categories of COCO JSON name them, and whether the annotations have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple

from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.reading.flip_pairs import COCO_POINTS, flip_by_names, kept_order
from pipeline.source.types import AnnotatedImage

_NEARLY_ALL: Final = 0.95


class CocoKeypoints(NamedTuple):
    """The points of a pose, where the objects have them; and what the user should know."""

    keypoints: Keypoints | None = None
    remarks: tuple[str, ...] = ()


def tell(files: Sequence[Mapping[str, Any]], images: Iterable[AnnotatedImage]) -> CocoKeypoints:
    """Tell whether the annotations are poses: nearly all objects have points, and the same number of them."""
    counts = Counter(len(points) for image in images for points in _points(image))
    total = sum(counts.values())
    with_points = Counter({number: times for number, times in counts.items() if number})
    if not with_points:
        return CocoKeypoints()
    usual, times = with_points.most_common(1)[0]
    if times < _NEARLY_ALL * total:
        return CocoKeypoints(
            None, (f"{times} of {total} objects have {format_count(usual, 'key point')}: left aside",)
        )
    named = list(dict.fromkeys(_named(files, usual)))
    names = named[0] if named else _unnamed(usual)
    several = ("categories name their key points differently: the first names are taken",)
    flip = flip_by_names(names)
    return CocoKeypoints(Keypoints(names, flip), (*(several if len(named) > 1 else ()), *kept_order(flip)))


def _points(image: AnnotatedImage) -> Sequence[Sized]:
    return image.raw.keypoints or [()] * len(image.raw.classes)


def _named(files: Sequence[Mapping[str, Any]], count: int) -> Iterable[tuple[str, ...]]:
    for row in (row for file in files for row in file["categories"]):
        names = row.get("keypoints")
        if isinstance(names, list) and len({*map(str, names)}) == len(names) == count:
            yield tuple(map(str, names))


def _unnamed(count: int) -> tuple[str, ...]:
    return COCO_POINTS if count == len(COCO_POINTS) else tuple(f"point_{index}" for index in range(count))
