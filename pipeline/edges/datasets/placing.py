"""Annotations without a known image and images without a known annotation, brought together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.core.boxes import Note
from pipeline.core.defects import Defect, Kind
from pipeline.edges.datasets.entries import Entry
from pipeline.edges.datasets.pictures_by_name import NOTHING, Match, Pictures, common
from pipeline.edges.datasets.source import relative

Placed = dict[Path, list[Entry]]


class Layout(NamedTuple):
    """How annotation files and images lie.

    Attributes:
        pictures: The images of the source.
        each: An annotation file per image, rather than one for many.
        order: Class names as declared.
        spare: Images that no annotation is expected for, with the reason why they are not used.
    """

    pictures: Pictures
    each: bool = False
    order: tuple[str, ...] = ()
    spare: Mapping[Path, str] = {}


def place(folder: Path, entries: Iterable[Entry], layout: Layout) -> tuple[Placed, list[Defect]]:
    """Find the image of each entry; name the entries that have none, and the images that have none."""
    placed: Placed = defaultdict(list)
    defects = []
    for entry in entries:
        match = layout.pictures.find(entry.names, near=entry.file.parent)
        if match.image:
            placed[match.image].append(_noted(entry, match, layout))
        elif entry.load:
            placed[entry.file].append(entry)
        else:
            defects.append(_missing(folder, entry, match, layout))
    if layout.each:
        claimed = [image for image, claims in placed.items() if len(claims) > 1]
        defects += [defect for image in claimed for defect in _rivals(folder, image, placed)]
    return placed, defects + _unlisted(folder, placed, layout)


def _noted(entry: Entry, match: Match, layout: Layout) -> Entry:
    """Tell where a list names an image otherwise; files that belong together differ in suffix anyway."""
    noted = (Note(False, match.note), *entry.notes) if match.note and not layout.each else entry.notes
    return entry._replace(notes=noted)


def _missing(folder: Path, entry: Entry, match: Match, layout: Layout) -> Defect:
    where = relative(entry.file, folder)
    if layout.each:
        missing = "an annotation without an image" if match == NOTHING else match.fault
        return Defect(where, "quarantined", entry.fault or missing, "orphan-label")
    reason = entry.fault or f"listed in {where}, but {match.fault}"
    return Defect(entry.names[0] or "an image without a name", "quarantined", reason, "missing-image")


def _rivals(folder: Path, image: Path, placed: Placed) -> list[Defect]:
    """Leave an image to the nearest of the files that claim it: each has one image, an image one file."""
    first, *others = sorted(
        placed[image], key=lambda entry: (-common(entry.file.parts, image.parts), entry.file)
    )
    placed[image] = [first]
    for other in others:
        if other.load:
            placed[other.file] = [other]
    reason = f"a second annotation of {relative(image, folder)}"
    left = [other for other in others if not other.load]
    return [Defect(relative(other.file, folder), "quarantined", reason, "listed-twice") for other in left]


def _unlisted(folder: Path, placed: Mapping[Path, object], layout: Layout) -> list[Defect]:
    """Name the images that no annotation is about: nobody says that nothing is on them."""
    usual = "an image without an annotation" if layout.each else "not listed in any annotation file"
    kind: Kind = "missing-label" if layout.each else "unlisted-image"
    return [
        Defect(relative(path, folder), "quarantined", layout.spare.get(path, usual), kind)
        for path in layout.pictures.all
        if path not in placed
    ]
