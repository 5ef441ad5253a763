"""From what annotation files say of images to a source: images found, splits told, the task chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Keypoints
from pipeline.source.reading import task_inference
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import in_order, relative
from pipeline.source.reading.flip_pairs import flip_by_names, kept_order
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.match_images import place as placing_place
from pipeline.source.reading.shapes import AnnotatedObject
from pipeline.source.reading.task_inference import TaskPlan
from pipeline.source.types import AnnotatedImage, Source, held_out, split_of


class MatchedImage(NamedTuple):
    """An image, what its annotations say, and the split that its folder and theirs stand for."""

    path: Path
    entries: list[ImageAnnotations]
    claim: str | None


def gather(
    folder: Path, entries: Iterable[ImageAnnotations], layout: MatchingOptions, remarks: Iterable[str] = ()
) -> Source:
    """Bring annotations and images together.

    Raises:
        Refused: No annotation has an image.
    """
    placed, defects = placing_place(folder, entries, layout)
    if not placed:
        first = f"; the first: {defects[0].file}: {defects[0].reason}" if defects else ""
        raise UserError(
            f"no image in {folder} has an annotation{first}: put the images beside the annotations"
        )
    found = _claims(
        [
            MatchedImage(path, placed[path], _claim(path, placed[path], folder, layout))
            for path in in_order(placed)
        ]
    )
    every = [item for one in found for entry in one.entries if not entry.fault for item in entry.objects]
    chosen = task_inference.plan(every, layout.order)
    images = tuple(_annotated(one, folder, chosen) for one in found)
    keypoints = Keypoints(chosen.points, flip_by_names(chosen.points)) if chosen.points else None
    unpaired = kept_order(keypoints.flip) if keypoints else ()
    return Source(
        chosen.names,
        images,
        tuple(defects),
        (*remarks, *chosen.remarks, *unpaired),
        task=chosen.task,
        keypoints=keypoints,
    )


def _claim(
    path: Path, entries: Sequence[ImageAnnotations], folder: Path, layout: MatchingOptions
) -> str | None:
    """Tell the split that folders stand for: the image's, and the annotation's or its file name."""
    claims = {_folders(path.parent, folder)}
    for entry in entries:
        own = None if layout.each else split_of(entry.file.stem)
        claims |= {_folders(entry.file.parent, folder), own}
    return held_out(claims)


@lru_cache(maxsize=1000)
def _folders(place: Path, folder: Path) -> str | None:
    named = (split_of(part) for part in reversed(place.relative_to(folder).parts))
    return next((split for split in named if split), None)


def _claims(found: list[MatchedImage]) -> list[MatchedImage]:
    """Believe names of folders and files only where they tell two splits or more apart."""
    claims = {one.claim for one in found} - {None}
    return found if len(claims) > 1 else [one._replace(claim=None) for one in found]


def _annotated(one: MatchedImage, folder: Path, chosen: TaskPlan) -> AnnotatedImage:
    entries = [entry for entry in one.entries if not entry.fault] or one.entries
    splits = {entry.split for entry in one.entries} - {None}
    split = held_out(splits) or one.claim
    items = [item for entry in entries for item in entry.objects if not entry.fault]
    notes = (*_several(one, splits, split), *(note for entry in entries for note in entry.notes))
    return AnnotatedImage(
        one.path,
        relative(one.path, folder),
        split,
        task_inference.raw(items, chosen),
        scaled=chosen.task == "classify" or entries[0].scaled,
        size=next((entry.size for entry in entries if entry.size), None),
        notes=notes,
        fault=entries[0].fault or _contradictory(entries) or _undecided(items, notes, chosen),
        columns=_agreed([entry.columns for entry in entries]),
        load=entries[0].load if one.path == entries[0].file else None,
    )


def _several(
    one: MatchedImage, splits: Collection[str | None], split: str | None
) -> Iterator[AnnotationNote]:
    """Say what is done about an image that is listed more than once."""
    if len(splits) > 1:
        listed = " and ".join(sorted(map(str, splits)))
        yield AnnotationNote(False, f"listed in {listed}: kept in {split} alone", "listed-twice")
    faults = [entry.fault for entry in one.entries if entry.fault]
    good = len(one.entries) - len(faults)
    if good > 1:
        yield AnnotationNote(False, f"listed {good} times: its objects are put together", "listed-twice")
    for fault in faults if good else ():
        yield AnnotationNote(False, f"listed twice, once of no use: {fault}", "listed-twice")


def _contradictory(entries: Sequence[ImageAnnotations]) -> str:
    if len({entry.scaled for entry in entries}) > 1:
        return "annotated both in pixels and in shares of the image"
    sizes = {entry.size for entry in entries if entry.size}
    return f"annotated at sizes that differ: {sorted(sizes)}" if len(sizes) > 1 else ""


def _agreed(columns: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Keep the columns of which all entries say the same."""
    return {
        name: value
        for name, value in columns[0].items()
        if all(other.get(name) == value for other in columns)
    }


def _undecided(items: Sequence[AnnotatedObject], notes: Iterable[AnnotationNote], chosen: TaskPlan) -> str:
    """Say why an image has no class as a whole, where that is the task."""
    if chosen.task != "classify":
        return ""
    tags = sorted({item.label for item in items})
    if not tags:
        return next((note.reason for note in notes if note.dropped), "no class is given for it")
    return f"{len(tags)} classes are given for it: {', '.join(tags)}" if len(tags) > 1 else ""
