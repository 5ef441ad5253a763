"""Read several sources as one (data.source=[a, b]): equal class names are one class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import IntArray
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Keypoints, Task, can_convert_task
from pipeline.core.text import format_count
from pipeline.source.reading.class_selection import doubt_spellings, select_objects
from pipeline.source.reading.unicode_names import escape_text
from pipeline.source.recognize_format import RecognizedSource, recognize_source
from pipeline.source.types import DEFAULT_OPTIONS, AnnotatedImage, ReadOptions, Source

SOURCE_COLUMN: Final = "source"
"""The column with the name of an image's source, for data.group_by."""

_MOST_DETAILED_FIRST: Final[tuple[Task, ...]] = ("classify", "pose", "segment", "obb", "detect")
_PLACEHOLDER_NAME: Final = re.compile(r"class_?\d+|\d+")
"""Names that readers give to classes without one, or that are none."""
_PLACEHOLDER_POINT: Final = re.compile(r"point_\d+")
_MAX_LISTED: Final = 5


class _JoinPlan(NamedTuple):
    """What all sources become.

    Attributes:
        names: All classes: those of the first source, then the new ones of each further source.
        task: The most detailed task that all sources have annotations for.
        keypoints: The keypoints of a pose.
        keep_splits: Whether the splits that came with the sources are kept: only if each has one.
    """

    names: tuple[str, ...]
    task: Task
    keypoints: Keypoints | None
    keep_splits: bool


def read_sources(
    form: str, folders: Mapping[str, Path], options: ReadOptions = DEFAULT_OPTIONS
) -> RecognizedSource:
    """Read one source as `recognize_source` does, or several, and join them.

    Args:
        form: The format of each, as in data.format; auto recognizes each one's own.
        folders: The folders by the names that image names start with; a single one has the name "".
        options: How annotations are read that can mean several things.

    Raises:
        UserError: One cannot be read, or they have no task in common.
    """
    found = {name: recognize_source(form, folder, options) for name, folder in folders.items()}
    if len(found) == 1:
        [only] = found.values()
        remarks = (*only.source.remarks, *doubt_spellings(only.source.names))
        return only._replace(source=only.source._replace(remarks=remarks))
    return join_sources({escape_text(name): each for name, each in found.items()}, options.task)


def join_sources(found: Mapping[str, RecognizedSource], wanted: str = "auto") -> RecognizedSource:
    """Join sources.

    Args:
        found: The sources by the names that their image names start with.
        wanted: The task, as in data.task.

    Raises:
        UserError: They have no task in common, or not the same keypoints where data.task is pose.
    """
    sources = {name: each.source for name, each in found.items()}
    plan, remarks = _plan_join(sources, wanted)
    parts = [_rename_source(name, source, plan) for name, source in sources.items()]
    described = ", ".join(_describe_part(name, each) for name, each in found.items())
    own = [f"{name}: {remark}" for name, source in sources.items() for remark in source.remarks]
    joined = Source(
        plan.names,
        tuple(image for part in parts for image in part.images),
        tuple(defect for part in parts for defect in part.defects),
        (f"{len(found)} sources joined for {plan.task}: {described}", *remarks, *own),
        task=plan.task,
        keypoints=plan.keypoints,
    )
    return RecognizedSource(", ".join(dict.fromkeys(each.form for each in found.values())), joined)


def _plan_join(sources: Mapping[str, Source], wanted: str) -> tuple[_JoinPlan, list[str]]:
    keypoints, keypoint_remarks = _join_keypoints(sources, wanted)
    task = _choose_shared_task(sources, pose=keypoints is not None)
    names = tuple(dict.fromkeys(name for source in sources.values() for name in source.names))
    unsplit = [name for name, source in sources.items() if not any(image.split for image in source.images)]
    plan = _JoinPlan(names, task, keypoints if task == "pose" else None, not unsplit)
    remarks = [*keypoint_remarks, *_describe_tasks(sources, task), *_doubt_class_names(sources, names)]
    remarks += _warn_of_partial_classes(sources, task)
    if unsplit and len(unsplit) < len(sources):
        split = [name for name in sources if name not in unsplit]
        remarks.append(
            f"{' and '.join(split)} came with a split, {' and '.join(unsplit)} without one: none is kept, "
            "and all images are split anew"
        )
    replaced = [
        name
        for name, source in sources.items()
        if any(SOURCE_COLUMN in image.columns for image in source.images)
    ]
    if replaced:
        remarks.append(
            f"the column {SOURCE_COLUMN!r} of {' and '.join(replaced)} now holds the name of the source"
        )
    return plan, remarks


def _choose_shared_task(sources: Mapping[str, Source], *, pose: bool) -> Task:
    """Choose the most detailed task that all annotations can be converted to.

    Raises:
        UserError: There is none.
    """
    shared = [
        task
        for task in _MOST_DETAILED_FIRST
        if (task != "pose" or pose) and all(can_convert_task(each.task, task) for each in sources.values())
    ]
    if not shared:
        listed = ", ".join(f"{name} is for {source.task}" for name, source in sources.items())
        raise UserError(
            f"the sources in data.source have no task in common: {listed}; give each task a run of its own"
        )
    return shared[0]


def _describe_tasks(sources: Mapping[str, Source], task: Task) -> Iterator[str]:
    finer = [f"{name} ({source.task})" for name, source in sources.items() if source.task != task]
    if finer:
        yield f"all sources have annotations for {task}; more detailed ones are not used: {', '.join(finer)}"


def _join_keypoints(sources: Mapping[str, Source], wanted: str) -> tuple[Keypoints | None, list[str]]:
    """Return the keypoints that all sources have, None if they have not the same ones.

    Raises:
        UserError: They have not the same ones, and data.task is pose.
    """
    found = [source.keypoints for source in sources.values() if source.task == "pose" and source.keypoints]
    if len(found) < len(sources):
        return None, []
    target = next((points for points in found if points.flip), found[0])
    if all(_find_point_order(points, target) is not None for points in found):
        return target, list(_describe_joined_points(found, target))
    listed = "; ".join(
        f"{name} has {', '.join(points.names)}" for name, points in zip(sources, found, strict=True)
    )
    if wanted == "pose":
        raise UserError(
            f"the sources in data.source have not the same keypoints ({listed}): name them alike, or set "
            "data.task=detect"
        )
    return None, [f"the sources have not the same keypoints, which are not used: {listed}"]


def _describe_joined_points(found: Sequence[Keypoints], target: Keypoints) -> Iterator[str]:
    """Say what is assumed of keypoints that are taken as the same."""
    if all(map(_PLACEHOLDER_POINT.fullmatch, target.names)):
        yield "the keypoints have no names: equal numbers are taken as the same point in all sources"
    if target.flip and not all(points.flip for points in found):
        yield (
            "not every source states which keypoints change places in a mirrored image: it is taken from the "
            "first one that does, and images of all sources may be mirrored"
        )


def _find_point_order(points: Keypoints, target: Keypoints) -> IntArray | None:
    """Return the index in `points` of each point of `target`; None if they are not the same points.

    Where one of them does not know which points change places in a mirrored image, the names alone decide.
    """
    if sorted(points.names) != sorted(target.names) or len(set(points.names)) < points.count:
        return np.arange(points.count) if points.names == target.names else None
    order = [points.names.index(name) for name in target.names]
    if not (points.flip and target.flip):
        return np.array(order)
    mirrored = [points.names[points.flip[index]] for index in order]
    return np.array(order) if mirrored == [target.names[index] for index in target.flip] else None


def _doubt_class_names(sources: Mapping[str, Source], names: Sequence[str]) -> Iterator[str]:
    """Name the classes that may be the same under two names, or two under the same name."""
    yield from doubt_spellings(names)
    unnamed = [
        name for name, source in sources.items() if any(map(_PLACEHOLDER_NAME.fullmatch, source.names))
    ]
    if len(unnamed) > 1:
        yield (
            f"{' and '.join(unnamed)} number their classes instead of naming them: equal numbers are taken "
            "as the same class"
        )
    elif unnamed and len(names) > len(sources[unnamed[0]].names):
        yield f"{unnamed[0]} numbers its classes instead of naming them: they are classes of their own"


def _warn_of_partial_classes(sources: Mapping[str, Source], task: Task) -> Iterator[str]:
    """Name the classes that a source does not label: their objects on its images would be background."""
    every = dict.fromkeys(name for source in sources.values() for name in source.names)
    for name, source in sources.items() if task != "classify" else ():
        lacking = [cls for cls in every if cls not in source.names]
        if lacking:
            more = f" and {len(lacking) - _MAX_LISTED} more" if len(lacking) > _MAX_LISTED else ""
            yield (
                f"{name} does not label {', '.join(lacking[:_MAX_LISTED])}{more}: where they are on its "
                "images, they count as background"
            )


def _describe_part(name: str, each: RecognizedSource) -> str:
    return f"{name} ({each.form}, {format_count(len(each.source.images), 'image')})"


def _rename_source(name: str, source: Source, plan: _JoinPlan) -> Source:
    """Give the classes of a source the indices of all, and its files the name of the source."""
    indices = np.array([plan.names.index(cls) for cls in source.names], np.int64)
    order = (
        _find_point_order(source.keypoints, plan.keypoints) if source.keypoints and plan.keypoints else None
    )
    own_task = source.task if source.task != plan.task else None
    images = tuple(
        _map_classes(image, indices)._replace(
            source=f"{name}/{image.source}",
            split=image.split if plan.keep_splits else None,
            columns={**image.columns, SOURCE_COLUMN: name},
            task=own_task,
        )
        for image in source.images
    )
    if order is not None and order.tolist() != list(range(len(order))):
        images = tuple(_order_keypoints(image, order) for image in images)
    defects = tuple(defect._replace(file=f"{name}/{defect.file}") for defect in source.defects)
    return source._replace(images=images, defects=defects)


def _map_classes(image: AnnotatedImage, indices: IntArray) -> AnnotatedImage:
    """Map class indices; drop the objects of classes that the source does not have."""
    raw = image.raw
    known = (raw.classes >= 0) & (raw.classes < len(indices))
    if known.all():
        return image._replace(raw=raw._replace(classes=indices[raw.classes]))
    unknown = zip(raw.marks, raw.classes.tolist(), known.tolist(), strict=True)
    listed = f"the classes are 0 to {len(indices) - 1}" if len(indices) > 1 else "the only class is 0"
    notes = tuple(
        AnnotationNote(True, f"{mark}: class {cls}, but {listed}", "class-out-of-range")
        for mark, cls, fits in unknown
        if not fits
    )
    kept = select_objects(raw, np.flatnonzero(known))
    return image._replace(raw=kept._replace(classes=indices[kept.classes]), notes=(*image.notes, *notes))


def _order_keypoints(image: AnnotatedImage, order: IntArray) -> AnnotatedImage:
    points = tuple(each[order] if len(each) == len(order) else each for each in image.raw.keypoints)
    return image._replace(raw=image.raw._replace(keypoints=points))
