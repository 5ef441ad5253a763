"""Read the keypoints of COCO JSON in the ways tools write them, and infer whether annotations are poses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.coco.categories import normalize_id
from pipeline.source.plausibility.predictions import check_visibilities
from pipeline.source.reading.flip_pairs import (
    describe_guessed_keypoints,
    describe_unpaired_keypoints,
    name_unnamed_keypoints,
    pair_keypoints_by_name,
)
from pipeline.source.types import AnnotatedImage, ReadOptions

_MIN_POSE_SHARE: Final = 0.95


class CocoKeypoints(NamedTuple):
    """The keypoints, None if the annotations are not poses; and remarks for the user."""

    keypoints: Keypoints | None = None
    remarks: tuple[str, ...] = ()


def flatten_keypoints(files: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Write the keypoints of all annotations as COCO does: x, y and visibility of each in one list.

    Tools also write a list for each point, x and y without a visibility, and null for a point that is not
    placed. Lists that are none of these stay.

    Args:
        files: The parsed files; their annotations are changed.

    Returns:
        A remark if there are points without a visibility.
    """
    bare = 0
    for file in files:
        pairs = _find_pairs(file)
        for row in file["annotations"]:
            points = row.get("keypoints")
            if not isinstance(points, list) or not points:
                continue
            if not any(isinstance(point, list) for point in points):
                width = 2 if _get_layout(row) in pairs else 3
                if len(points) % width:
                    continue
                points = [points[start : start + width] for start in range(0, len(points), width)]
            if all(point is None or (isinstance(point, list) and len(point) in {2, 3}) for point in points):
                bare += any(point is not None and len(point) == 2 for point in points)
                row["keypoints"] = [value for point in points for value in _complete_point(point)]
    if not bare:
        return ()
    objects = format_count(bare, "object has", "objects have")
    return (f"{objects} keypoints without a visibility: those not at 0, 0 are taken for visible",)


def _find_pairs(file: Mapping[str, Any]) -> set[tuple[str, int]]:
    """Find flat lists of x and y alone: category and length, which fits twice the number of points.

    The category names its points; else an annotation says that more are labelled than threes fit in.
    """
    names = {
        normalize_id(row.get("id")): len(row["keypoints"])
        for row in file["categories"]
        if isinstance(row.get("keypoints"), list) and row["keypoints"]
    }
    labelled: dict[tuple[str, int], int] = defaultdict(int)
    for row in file["annotations"]:
        number = row.get("num_keypoints")
        if isinstance(row.get("keypoints"), list):
            layout = _get_layout(row)
            labelled[layout] = max(labelled[layout], number if type(number) is int else 0)
    return {
        (category, length)
        for (category, length), number in labelled.items()
        if length == 2 * names.get(category, 0)
        or (category not in names and length % 2 == 0 and length / 3 < number <= length / 2)
    }


def _get_layout(row: Mapping[str, Any]) -> tuple[str, int]:
    return normalize_id(row.get("category_id")), len(row["keypoints"])


def _complete_point(point: Sequence[Any] | None) -> Sequence[Any]:
    if point is None or (point[0] is None and point[1] is None):
        return (0, 0, 0)
    if len(point) == 3:
        return point
    return (*point, 0 if point[0] == point[1] == 0 else 2)


def infer_keypoints(
    files: Sequence[Mapping[str, Any]], images: Sequence[AnnotatedImage], options: ReadOptions
) -> CocoKeypoints:
    """Infer a pose: at least 95% of the objects have the same number of keypoints.

    Args:
        files: The parsed files.
        images: The images with their objects.
        options: How annotations are read that can mean several things.

    Raises:
        UserError: Many visibilities are not 0, 1 or 2.
    """
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
    posed = [image for image in images if image.raw.keypoints]
    visibilities = [(image.source, np.concatenate(image.raw.keypoints)[:, 2]) for image in posed]
    check_visibilities(visibilities, options.predictions, options.task)
    stated = list(dict.fromkeys(_keypoint_names(files, usual)))
    names = stated[0] if stated else name_unnamed_keypoints(usual)
    advice = "name them in `keypoints` of the category"
    guessed = () if stated else describe_guessed_keypoints(names, advice)
    several = ("categories name their key points differently: the first names are taken",)
    keypoints = Keypoints(names, pair_keypoints_by_name(names))
    unpaired = describe_unpaired_keypoints(keypoints, f"{advice}, such as left_eye and right_eye")
    return CocoKeypoints(keypoints, (*(several if len(stated) > 1 else ()), *guessed, *unpaired))


def _image_keypoints(image: AnnotatedImage) -> Sequence[Sized]:
    return image.raw.keypoints or [()] * len(image.raw.classes)


def _keypoint_names(files: Sequence[Mapping[str, Any]], count: int) -> Iterable[tuple[str, ...]]:
    for row in (row for file in files for row in file["categories"]):
        names = row.get("keypoints")
        if isinstance(names, list) and len({*map(str, names)}) == len(names) == count:
            yield tuple(map(str, names))
