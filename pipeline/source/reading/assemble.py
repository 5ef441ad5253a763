"""Assemble a source from annotations: match images, choose splits and the task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Keypoints
from pipeline.source.plausibility.rival_annotations import LabeledBoxes, refuse_rival_files
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import format_relative_path, sort_paths
from pipeline.source.reading.flip_pairs import describe_unpaired_keypoints, pair_keypoints_by_name
from pipeline.source.reading.match_images import MatchingOptions, match_annotations_to_images
from pipeline.source.reading.shapes import AnnotatedObject
from pipeline.source.reading.task_inference import TaskPlan, build_raw_objects, infer_task
from pipeline.source.types import (
    AnnotatedImage,
    Source,
    choose_held_out_split,
    describe_lone_split,
    find_split_in_name,
)


class MatchedImage(NamedTuple):
    """An image with its annotations, and the split that the names of their folders and files suggest."""

    path: Path
    entries: list[ImageAnnotations]
    claim: str | None


def assemble_source(
    folder: Path, entries: Iterable[ImageAnnotations], layout: MatchingOptions, remarks: Iterable[str] = ()
) -> Source:
    """Match annotations to images and return the source.

    Args:
        folder: The source folder.
        entries: The annotations of each image.
        layout: How annotation files and images are arranged.
        remarks: Remarks of the format reader, put before those added here.

    Raises:
        UserError: No annotation has an image.
    """
    placed, defects = match_annotations_to_images(folder, entries, layout)
    if not placed:
        first = f"; the first: {defects[0].file}: {defects[0].reason}" if defects else ""
        raise UserError(
            f"no image in {folder} has an annotation{first}: put the images beside the annotations"
        )
    refuse_rival_files(_list_rivals(entries) for entries in placed.values() if len(entries) > 1)
    found, split_remarks = _drop_single_claim(
        [
            MatchedImage(path, placed[path], _find_claimed_split(path, placed[path], folder, layout))
            for path in sort_paths(placed)
        ]
    )
    objects = [item for one in found for entry in one.entries if not entry.fault for item in entry.objects]
    plan = infer_task(objects, layout.class_order)
    images = tuple(_build_image(one, folder, plan) for one in found)
    keypoints = Keypoints(plan.points, pair_keypoints_by_name(plan.points)) if plan.points else None
    advice = "name the points where they were drawn, such as left_eye and right_eye"
    unpaired = describe_unpaired_keypoints(keypoints, advice) if keypoints else ()
    return Source(
        plan.names,
        images,
        tuple(defects),
        (*remarks, *split_remarks, *plan.remarks, *unpaired),
        task=plan.task,
        keypoints=keypoints,
    )


def _list_rivals(entries: Sequence[ImageAnnotations]) -> dict[Path, LabeledBoxes]:
    """Return the boxes of one image in each file."""
    by_file: dict[Path, list[AnnotatedObject]] = defaultdict(list)
    for entry in entries:
        by_file[entry.file] += [item for item in entry.objects if item.shape.kind != "tag"]
    return {file: _list_boxes(items) for file, items in by_file.items()} if len(by_file) > 1 else {}


def _list_boxes(items: Sequence[AnnotatedObject]) -> LabeledBoxes:
    boxes = np.array([item.shape.box for item in items], np.float64).reshape(-1, 4)
    return LabeledBoxes(tuple(item.label for item in items), boxes)


def _find_claimed_split(
    path: Path, entries: Sequence[ImageAnnotations], folder: Path, layout: MatchingOptions
) -> str | None:
    """Find the split in the names of the image's folders, the annotation's folders and its file."""
    claims = {_find_split_in_folders(path.parent, folder)}
    for entry in entries:
        own = None if layout.one_file_per_image else find_split_in_name(entry.file.stem)
        claims |= {_find_split_in_folders(entry.file.parent, folder), own}
    return choose_held_out_split(claims)


@lru_cache(maxsize=1000)
def _find_split_in_folders(place: Path, folder: Path) -> str | None:
    named = (find_split_in_name(part) for part in reversed(place.relative_to(folder).parts))
    return next((split for split in named if split), None)


def _drop_single_claim(found: list[MatchedImage]) -> tuple[list[MatchedImage], list[str]]:
    """Use splits from folder and file names only if there are two or more different ones.

    Returns:
        The images; and a remark on a split that is not used, unless the annotations state splits.
    """
    if len({one.claim for one in found} - {None}) > 1:
        return found, []
    is_split = any(entry.split for one in found for entry in one.entries)
    remarks = [] if is_split else describe_lone_split([one.claim for one in found])
    return [one._replace(claim=None) for one in found], remarks


def _build_image(one: MatchedImage, folder: Path, plan: TaskPlan) -> AnnotatedImage:
    entries = [entry for entry in one.entries if not entry.fault] or one.entries
    splits = {entry.split for entry in one.entries} - {None}
    split = choose_held_out_split(splits) or one.claim
    items = [item for entry in entries for item in entry.objects if not entry.fault]
    notes = (*_describe_duplicates(one, splits, split), *(note for entry in entries for note in entry.notes))
    return AnnotatedImage(
        one.path,
        format_relative_path(one.path, folder),
        split,
        build_raw_objects(items, plan),
        normalized=plan.task == "classify" or entries[0].normalized,
        size=next((entry.size for entry in entries if entry.size), None),
        notes=notes,
        fault=entries[0].fault or _find_contradiction(entries) or _explain_missing_class(items, notes, plan),
        columns=_merge_columns([entry.columns for entry in entries]),
        load=entries[0].load if one.path == entries[0].file else None,
    )


def _describe_duplicates(
    one: MatchedImage, splits: Collection[str | None], split: str | None
) -> Iterator[AnnotationNote]:
    """Report an image that is listed more than once, and how its annotations are merged."""
    if len(splits) > 1:
        listed = " and ".join(sorted(map(str, splits)))
        yield AnnotationNote(False, f"listed in {listed}: kept in {split} alone", "listed-twice")
    faults = [entry.fault for entry in one.entries if entry.fault]
    good = len(one.entries) - len(faults)
    if good > 1:
        yield AnnotationNote(False, f"listed {good} times: its objects are put together", "listed-twice")
    for fault in faults if good else ():
        yield AnnotationNote(False, f"listed twice, once of no use: {fault}", "listed-twice")


def _find_contradiction(entries: Sequence[ImageAnnotations]) -> str:
    if len({entry.normalized for entry in entries}) > 1:
        return "annotated both in pixels and in shares of the image"
    sizes = {entry.size for entry in entries if entry.size}
    return f"annotated at sizes that differ: {sorted(sizes)}" if len(sizes) > 1 else ""


def _merge_columns(columns: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Keep the columns that have the same value in all entries."""
    return {
        name: value
        for name, value in columns[0].items()
        if all(other.get(name) == value for other in columns)
    }


def _explain_missing_class(
    items: Sequence[AnnotatedObject], notes: Iterable[AnnotationNote], plan: TaskPlan
) -> str:
    """Return why an image has no single class, if the task is classify."""
    if plan.task != "classify":
        return ""
    tags = sorted({item.label for item in items})
    if not tags:
        return next((note.reason for note in notes if note.dropped), "no class is given for it")
    return f"{len(tags)} classes are given for it: {', '.join(tags)}" if len(tags) > 1 else ""
