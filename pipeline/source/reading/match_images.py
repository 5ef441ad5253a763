"""Annotations without a known image and images without a known annotation, brought together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.core.findings import AnnotationNote, Finding, FindingKind
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import is_file, relative
from pipeline.source.reading.image_index import NOTHING, ImageIndex, NameMatch, common

AnnotationsByImage = dict[Path, list[ImageAnnotations]]


class MatchingOptions(NamedTuple):
    """How annotation files and images lie.

    Attributes:
        pictures: The images of the source.
        each: An annotation file per image, rather than one for many.
        order: Class names as declared.
        spare: Images that no annotation is expected for, with the reason why they are not used.
    """

    pictures: ImageIndex
    each: bool = False
    order: tuple[str, ...] = ()
    spare: Mapping[Path, str] = {}


def place(
    folder: Path, entries: Iterable[ImageAnnotations], layout: MatchingOptions
) -> tuple[AnnotationsByImage, list[Finding]]:
    """Find the image of each entry; name the entries that have none, and the images that have none."""
    placed: AnnotationsByImage = defaultdict(list)
    defects = []
    every = list(entries)
    found = [layout.pictures.find(entry.names, near=entry.file.parent, alone=layout.each) for entry in every]
    for entry, match in zip(every, settled(found, each=layout.each), strict=True):
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


def settled(matches: Sequence[NameMatch], *, each: bool = False) -> list[NameMatch]:
    """Leave each image to the names that fit it best: in doubt one is believed where nothing speaks against.

    Against a name in doubt speaks another that fits the image better, or as well; and if its folder is
    another, that the folders are known by their names, so they were not merely renamed as a whole.

    Args:
        matches: What each annotation's name was found to mean.
        each: Every annotation is of one image: rivals for one are left to the caller.
    """
    best: dict[Path, int] = {}
    names: dict[tuple[Path, int], set[str]] = defaultdict(set)
    for match in matches:
        if match.image:
            best[match.image] = min(match.doubt, best.get(match.image, match.doubt))
            names[match.image, match.doubt].add(match.name)
    sure = [match for match in matches if match.image and match.place and not match.doubt]
    places = {match.place for match in sure}
    folders = set() if each else {match.image.parent for match in sure if match.image}

    def stands(image: Path, match: NameMatch) -> bool:
        if not match.doubt:
            return True
        if match.doubt > best[image]:
            return each
        moved = match.doubt % 2 and (match.place in places or image.parent in folders)
        return not moved and (each or len(names[image, match.doubt]) == 1)

    return [match if not match.image or stands(match.image, match) else NOTHING for match in matches]


def _noted(entry: ImageAnnotations, match: NameMatch, layout: MatchingOptions) -> ImageAnnotations:
    """Tell where a list names an image otherwise; files that belong together differ in suffix anyway."""
    noted = (
        (AnnotationNote(False, match.note), *entry.notes) if match.note and not layout.each else entry.notes
    )
    return entry._replace(notes=noted)


def _missing(folder: Path, entry: ImageAnnotations, match: NameMatch, layout: MatchingOptions) -> Finding:
    where = relative(entry.file, folder)
    if layout.each:
        missing = "an annotation without an image" if match == NOTHING else match.fault
        return Finding(where, "quarantined", entry.fault or missing, "orphan-label")
    reason = entry.fault or f"listed in {where}, but {match.fault}"
    name = entry.names[0] or "an image without a name"
    named = f"{where}: {name}" if is_file(folder / name) else name  # an image of that name may be used
    return Finding(named, "quarantined", reason, "missing-image")


def _rivals(folder: Path, image: Path, placed: AnnotationsByImage) -> list[Finding]:
    """Leave an image to the nearest of the files that claim it: each has one image, an image one file."""
    first, *others = sorted(
        placed[image],
        key=lambda entry: (
            -common(reversed(entry.file.parent.parts), reversed(image.parent.parts)),
            -common(entry.file.parent.parts, image.parent.parts),
            entry.file.stem != image.stem,
            entry.file,
        ),
    )
    placed[image] = [first]
    for other in others:
        if other.load:
            placed[other.file] = [other]
    reason = f"a second annotation of {relative(image, folder)}"
    left = [other for other in others if not other.load]
    return [Finding(relative(other.file, folder), "quarantined", reason, "listed-twice") for other in left]


def _unlisted(folder: Path, placed: Mapping[Path, object], layout: MatchingOptions) -> list[Finding]:
    """Name the images that no annotation is about: nobody says that nothing is on them."""
    usual = "an image without an annotation" if layout.each else "not listed in any annotation file"
    kind: FindingKind = "missing-label" if layout.each else "unlisted-image"
    return [
        Finding(relative(path, folder), "quarantined", layout.spare.get(path, usual), kind)
        for path in layout.pictures.all
        if path not in placed
    ]
