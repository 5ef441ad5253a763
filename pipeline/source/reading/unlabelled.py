"""Decide what images without annotations are: background, or images that nobody has labelled yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.text import format_count
from pipeline.source.types import AnnotatedImage, Source, find_split_in_name

UNLABELLED_KINDS: Final = frozenset({"missing-label", "unlisted-image"})
"""Kinds of the findings about images without annotations."""
_HELD_OUT: Final = ("val", "test")
WITHOUT_ANNOTATION: Final = "an image without an annotation"
NOT_LISTED: Final = "not listed in any annotation file"


def is_unlabelled(image: AnnotatedImage) -> bool:
    """Check whether an image has no label file at all, not even an empty one."""
    return any(note.kind == "missing-label" for note in image.notes)


def resolve_unlabelled(source: Source, policy: str, folder: Path) -> Source:
    """Keep or leave out the images that have no label file, and say so.

    A val or test split without one object is taken as not labelled too, even if its images are listed or have
    empty label files: public data is often published so, and no mAP can be measured on it.

    Args:
        source: A source as its reader returns it.
        policy: As in data.unlabelled: background, leave_out, refuse; auto: background if other images of the
            split have a label file, and some image has an empty one, which shows that the source marks
            background so; else leave_out. For classify, where each image needs a class, background is
            leave_out.
        folder: The source folder, to which the names of images are relative.

    Raises:
        UserError: The policy is `refuse` and there are such images.
    """
    if policy in {"background", "refuse"}:
        source = _add_left_out_images(source, folder)
    if policy != "background":
        source = _leave_out_empty_splits(source, policy)
    unlabelled = [image for image in source.images if is_unlabelled(image)]
    if not unlabelled:
        return source
    files = f"{len(unlabelled)} of {format_count(len(source.images), 'image')}"
    share = f"{files} ({len(unlabelled) / len(source.images):.0%}) have no label file"
    needs_class = source.task == "classify"  # a classifier knows no background
    marked = not needs_class and any(_is_marked_background(image) for image in source.images)
    if policy == "refuse":
        raise UserError(
            f"{share}, such as {unlabelled[0].source}: label them, or set data.unlabelled to background or "
            "leave_out"
        )
    if (policy == "background" and not needs_class) or (policy == "auto" and marked):
        reason = (
            "" if policy == "background" else ", since other label files are empty (data.unlabelled decides)"
        )
        return source._replace(remarks=(*source.remarks, f"{share}: taken as images without objects{reason}"))
    is_settled = policy == "leave_out" or needs_class
    reason = "" if is_settled else "; if nothing is on them, set data.unlabelled=background"
    left_out = tuple(
        Finding(image.source, "quarantined", "no label file", "missing-label") for image in unlabelled
    )
    return source._replace(
        images=tuple(image for image in source.images if not is_unlabelled(image)),
        defects=(*source.defects, *left_out),
        remarks=(*source.remarks, f"{share}: left out{reason}"),
    )


def _leave_out_empty_splits(source: Source, policy: str) -> Source:
    """Leave out each split that nobody has labelled: val or test without an object, others without labels.

    Raises:
        UserError: The policy is `refuse` and there is such a split.
    """
    by_split: dict[str | None, list[AnnotatedImage]] = defaultdict(list)
    for image in source.images:
        by_split[image.split].append(image)
    empty = [split for split, images in by_split.items() if _is_unlabelled_split(split, images)]
    if not empty or len(empty) == len(by_split):
        return source
    places = ", ".join(
        f"{split or 'images without a split'} ({format_count(len(by_split[split]), 'image')})"
        for split in sorted(empty, key=str)
    )
    if policy == "refuse":
        raise UserError(
            f"nothing is labelled in {places}: label them, or set data.unlabelled to background or leave_out"
        )
    left_out = [
        Finding(image.source, "quarantined", "no object in the whole split", "missing-label")
        for split in empty
        for image in by_split[split]
    ]
    remark = (
        f"nothing is labelled in {places}: left out; if nothing is on them, set data.unlabelled=background"
    )
    return source._replace(
        images=tuple(image for image in source.images if image.split not in empty),
        defects=(*source.defects, *left_out),
        remarks=(*source.remarks, remark),
    )


def _is_unlabelled_split(split: str | None, images: Sequence[AnnotatedImage]) -> bool:
    """Check that a split has no label, or is held out and has no object that was, or could not be, read."""
    if all(map(is_unlabelled, images)):
        return True
    return split in _HELD_OUT and not any(
        image.fault or len(image.raw.classes) or any(note.dropped for note in image.notes) for image in images
    )


def _add_left_out_images(source: Source, folder: Path) -> Source:
    """Add the images that the reader left out because nothing is annotated on them.

    Images in other folders that are called as annotated ones are pictures of the same, such as depth maps.
    """
    if source.task == "classify":
        return source
    places = {image.path.parent for image in source.images}
    stems = {image.path.stem for image in source.images}
    has_splits = any(image.split for image in source.images)
    found = {
        finding: _build_background(folder / finding.file, finding.file, has_splits=has_splits)
        for finding in source.defects
        if finding.reason in {WITHOUT_ANNOTATION, NOT_LISTED}
        and (path := folder / finding.file).is_file()
        and (path.parent in places or path.stem not in stems)
    }
    return source._replace(
        images=tuple(sorted([*source.images, *found.values()], key=lambda image: image.path.parts)),
        defects=tuple(finding for finding in source.defects if finding not in found),
    )


def _build_background(path: Path, name: str, *, has_splits: bool) -> AnnotatedImage:
    splits = [find_split_in_name(part) for part in reversed(name.split("/")[:-1])] if has_splits else []
    note = AnnotationNote(False, "no annotation: taken as an image without objects", "missing-label")
    nothing = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())
    return AnnotatedImage(path, name, next(filter(None, splits), None), nothing, notes=(note,))


def _is_marked_background(image: AnnotatedImage) -> bool:
    """Check for an annotation that is empty on purpose, not for lack of objects that could be read."""
    has_objects = len(image.raw.classes) or any(note.dropped for note in image.notes)
    return not image.fault and not has_objects and not is_unlabelled(image)
