"""Match annotations to image files, and report annotations and images without a match."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.core.findings import AnnotationNote, Finding, FindingKind
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import format_relative_path, is_file
from pipeline.source.reading.image_index import (
    NO_MATCH,
    UPLOAD_DOUBT,
    ImageIndex,
    NameMatch,
    count_common_parts,
)
from pipeline.source.reading.unlabelled import NOT_LISTED, WITHOUT_ANNOTATION

AnnotationsByImage = dict[Path, list[ImageAnnotations]]


class MatchingOptions(NamedTuple):
    """How the annotation files and images of a source are arranged.

    Attributes:
        images: The images of the source.
        one_file_per_image: Each image has an annotation file of its own; else one file covers many images.
        class_order: Class names in the order in which the source declares them.
        unused_images: Images that need no annotation, with the reason why they are not used.
    """

    images: ImageIndex
    one_file_per_image: bool = False
    class_order: tuple[str, ...] = ()
    unused_images: Mapping[Path, str] = {}


def match_annotations_to_images(
    folder: Path, entries: Iterable[ImageAnnotations], layout: MatchingOptions
) -> tuple[AnnotationsByImage, list[Finding]]:
    """Find the image of each entry.

    Returns:
        The annotations of each image; findings about entries without an image and images without an entry.
    """
    placed: AnnotationsByImage = defaultdict(list)
    defects = []
    annotations, single = list(entries), layout.one_file_per_image
    found = [
        layout.images.find(entry.names, near=entry.file.parent, single_image=single) for entry in annotations
    ]
    matches = resolve_rival_matches(found, one_file_per_image=single)
    for entry, match in zip(annotations, matches, strict=True):
        if match.image:
            placed[match.image].append(_add_name_note(entry, match, layout))
        elif entry.load:
            placed[entry.file].append(entry)
        else:
            defects.append(_report_missing_image(folder, entry, match, layout))
    if single:
        claimed = [image for image, claims in placed.items() if len(claims) > 1]
        defects += [defect for image in claimed for defect in _resolve_rival_files(folder, image, placed)]
    return placed, defects + _report_unlisted_images(folder, placed, layout)


def list_entry_paths(entry: ImageAnnotations, images: ImageIndex, folder: Path) -> list[str]:
    """List the paths by which lists may name the image of an annotation file, without suffix.

    Returns:
        That of the image, if there is one, with the name of the file in place of its own, and as it is; and
        that of the file.
    """
    image = images.find(entry.names, near=entry.file.parent, single_image=True).image
    paths = [image.with_name(entry.file.stem), image.with_suffix("")] if image else []
    return [format_relative_path(path, folder) for path in (*paths, entry.file.with_suffix(""))]


def resolve_rival_matches(
    matches: Sequence[NameMatch], *, one_file_per_image: bool = False
) -> list[NameMatch]:
    """Keep the best match of each image, and replace rivals by `NO_MATCH`.

    A doubtful match is dropped if another name matches the image better or equally well. A match in another
    folder is also dropped if the stated folder or the image's folder has matches without doubt: then the
    folder was not just renamed.

    Args:
        matches: The match of each annotation.
        one_file_per_image: Each annotation file is about one image: the caller resolves rivals for an image.
    """
    best: dict[Path, int] = {}
    names: dict[tuple[Path, int], set[str]] = defaultdict(set)
    for match in matches:
        if match.image:
            best[match.image] = min(match.doubt, best.get(match.image, match.doubt))
            names[match.image, match.doubt].add(match.name)
    sure = [match for match in matches if match.image and match.place and not match.doubt]
    places = {match.place for match in sure}
    folders = set() if one_file_per_image else {match.image.parent for match in sure if match.image}

    def is_kept(image: Path, match: NameMatch) -> bool:
        if not match.doubt:
            return True
        if match.doubt > best[image]:
            return one_file_per_image
        moved = match.doubt % 2 and (match.place in places or image.parent in folders)
        several = one_file_per_image and match.doubt < UPLOAD_DOUBT  # two uploads may be different images
        return not moved and (several or len(names[image, match.doubt]) == 1)

    return [match if not match.image or is_kept(match.image, match) else NO_MATCH for match in matches]


def _add_name_note(entry: ImageAnnotations, match: NameMatch, layout: MatchingOptions) -> ImageAnnotations:
    """Note that a list spells an image name differently; pairs of files differ in suffix anyway."""
    if not match.note or (layout.one_file_per_image and match.doubt < UPLOAD_DOUBT):
        return entry
    return entry._replace(notes=(AnnotationNote(False, match.note), *entry.notes))


def _report_missing_image(
    folder: Path, entry: ImageAnnotations, match: NameMatch, layout: MatchingOptions
) -> Finding:
    where = format_relative_path(entry.file, folder)
    if layout.one_file_per_image:
        missing = "an annotation without an image" if match == NO_MATCH else match.fault
        return Finding(where, "quarantined", entry.fault or missing, "orphan-label")
    reason = entry.fault or f"listed in {where}, but {match.fault}"
    name = entry.names[0] or "an image without a name"
    named = f"{where}: {name}" if is_file(folder / name) else name  # an image with that name may be in use
    return Finding(named, "quarantined", reason, "missing-image")


def _resolve_rival_files(folder: Path, image: Path, placed: AnnotationsByImage) -> list[Finding]:
    """Keep the nearest of the annotation files that match one image; report the others."""
    first, *others = sorted(
        placed[image],
        key=lambda entry: (
            -count_common_parts(reversed(entry.file.parent.parts), reversed(image.parent.parts)),
            -count_common_parts(entry.file.parent.parts, image.parent.parts),
            entry.file.stem != image.stem,
            entry.file,
        ),
    )
    placed[image] = [first]
    for other in others:
        if other.load:
            placed[other.file] = [other]
    reason = f"a second annotation of {format_relative_path(image, folder)}"
    dropped = [other for other in others if not other.load]
    return [
        Finding(format_relative_path(other.file, folder), "quarantined", reason, "listed-twice")
        for other in dropped
    ]


def _report_unlisted_images(
    folder: Path, placed: Mapping[Path, object], layout: MatchingOptions
) -> list[Finding]:
    """Report images without an annotation: they are not assumed to be background images."""
    kind: FindingKind
    if layout.one_file_per_image:
        kind, usual = "missing-label", WITHOUT_ANNOTATION
    else:
        kind, usual = "unlisted-image", NOT_LISTED
    missing = [path for path in layout.images.images if path not in placed]
    reasons = [layout.unused_images.get(path, usual) for path in missing]
    return [
        Finding(format_relative_path(path, folder), "quarantined", reason, kind)
        for path, reason in zip(missing, reasons, strict=True)
    ]
