"""Recognize the annotation format of a source folder, and read the source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.errors import UserError
from pipeline.source.class_spelling import describe_numeric_names, describe_similar_names
from pipeline.source.compare_readings import describe_difference
from pipeline.source.dropped_objects import describe_dropped_objects
from pipeline.source.formats.load_readers import load_formats
from pipeline.source.known_exports import describe_known_export
from pipeline.source.nested_datasets import (
    FALLBACK_FORMAT,
    describe_doubt,
    find_datasets_in_classes,
    find_matching_formats,
    find_nested_datasets,
    list_datasets,
)
from pipeline.source.reading.class_lists import check_distinct_names
from pipeline.source.reading.diagnosis import explain_unknown_format
from pipeline.source.reading.file_tree import format_relative_path, list_subfolders, share_listings
from pipeline.source.reading.unicode_names import escape_source_text
from pipeline.source.reading.unlabelled import UNLABELLED_KINDS, is_unlabelled, resolve_unlabelled
from pipeline.source.split_lists import apply_split_lists
from pipeline.source.types import DEFAULT_OPTIONS, AnnotatedImage, ReadOptions, Source

_MAX_NESTED_FOLDERS: Final = 5
_NEAR_TIE: Final = 0.05
"""Formats whose shares of annotated images differ by less explain a source equally well."""
_LOW_SHARE: Final = 0.5
_MAX_REASON: Final = 200
"""Characters of the reason why a format does not count."""
_FORMATS_WITH_LABELS: Final = frozenset(
    {"yolo", "coco", "voc", "cvat", "via", "createml", "dota", "csv", "boxes"}
    | {"labelme", "kitti", "visdrone", "mot", "wider", "supervisely", "vott", "datumaro", "kerasyolo"}
)
"""Formats in which data.labels says what the numbers of a box are; in the others that is fixed."""
_GENERAL_FORMATS: Final = {"openimages": "csv"}
"""Formats whose files are files of a more general format, too: that this one matches shows nothing."""
_FORMAT_BY_SUFFIX: Final = {".yaml": "yolo", ".yml": "yolo", ".json": "coco"}
"""Formats of files that data.source may name instead of a folder."""


class RecognizedSource(NamedTuple):
    """A source as the format that explains it best reads it.

    Attributes:
        form: The format, as in data.format.
        source: What its reader returns.
    """

    form: str
    source: Source

    @property
    def share(self) -> float:
        """Share of the images that have annotations in this format."""
        return self.measure_share()

    def measure_share(self, known: Collection[str] | None = None) -> float:
        """Return the share; of the unlisted images only those count that are `known` to be no masks."""
        annotated = sum(map(_is_explained, self.source.images))
        others = {finding.file for finding in self.source.defects if finding.kind in UNLABELLED_KINDS}
        counted = others if known is None else others.intersection(known)
        return annotated / max(1, len(self.source.images) + len(counted))


def _is_explained(image: AnnotatedImage) -> bool:
    """Check that the annotation of an image could be read: it has objects, or is empty on purpose."""
    if image.fault or is_unlabelled(image):
        return False
    is_foreign = any(note.dropped and note.kind == "malformed" for note in image.notes)
    return len(image.raw.classes) > 0 or not is_foreign


def read_source(form: str, folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a source as `recognize_source` does, and return it alone."""
    return recognize_source(form, folder, options).source


def recognize_source(form: str, folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> RecognizedSource:
    """Recognize the format of a source, and read it; nothing is written to it.

    Of several formats that match, the one that has annotations for the largest share of the images reads it.

    Args:
        form: The format, as in data.format; auto recognizes it.
        folder: The source folder; or a data.yaml or a COCO file: then its folder is read, by that file.
        options: How annotations are read that can mean several things. For the tasks segment and obb,
            outlines are read if the source has some.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    if folder.is_file():
        options = options._replace(file=folder)
        form, folder = _choose_format_of_file(form, folder), folder.parent
    with share_listings():
        matching, place = ([form], folder) if options.file else _find_formats(form, folder)
        found = _read_best(matching, place, options)
        if not options.file:  # its images are to be divided
            found = found._replace(source=apply_split_lists(found.source, place))
    told = *describe_similar_names(found.source), *describe_dropped_objects(found.source)
    told = *told, *describe_numeric_names(found.source, place)
    source = found.source._replace(remarks=(*found.source.remarks, *told))
    source = resolve_unlabelled(escape_source_text(source), options.unlabelled, place)
    if options.labels != "auto" and found.form not in _FORMATS_WITH_LABELS:
        unused = f"data.labels={options.labels} changes nothing: {found.form} has one kind of coordinates"
        source = source._replace(remarks=(*source.remarks, unused))
    check_distinct_names(source.names, folder, ignore_blanks=True)
    has_outlines = any(image.raw.outlines for image in source.images)
    if options.task in {"segment", "obb"} - {source.task} and has_outlines:
        source = source._replace(task="segment")
    inner = format_relative_path(place, folder)
    return RecognizedSource(found.form, source if inner == "." else _prefix_paths(source, inner))


def _choose_format_of_file(form: str, file: Path) -> str:
    """Return the format of a file that data.source names.

    Raises:
        UserError: A file of this kind does not describe a dataset, or data.format is another format.
    """
    own = _FORMAT_BY_SUFFIX.get(file.suffix.lower())
    if not own:
        raise UserError(
            f"data.source={file} is neither a folder, nor an archive, nor a data.yaml, nor a COCO file: "
            "set it to the folder that holds the images"
        )
    if form not in {"auto", own}:
        raise UserError(
            f"data.source={file} is read as {own}, but data.format is {form}: set data.source to the folder"
        )
    return own


def _read_best(matching: Sequence[str], folder: Path, options: ReadOptions) -> RecognizedSource:
    """Read a folder by each of the formats; return the one that explains most of its images.

    A format whose reader refuses the folder does not count; a remark says why it was refused.

    Raises:
        UserError: All formats refuse; or the first does, and the others explain few images.
    """
    readings: list[RecognizedSource] = []
    refusals: dict[str, UserError] = {}
    for name in matching:
        try:
            readings.append(RecognizedSource(name, load_formats()[name].read_folder(folder, options)))
        except UserError as error:
            refusals[name] = error
    shares = _measure_shares(readings)
    highest = max(shares.values(), default=0)
    if refusals and highest < _LOW_SHARE:
        raise next(iter(refusals.values()))
    best = next(reading for reading in readings if shares[reading.form] >= highest - _NEAR_TIE)
    refusals.pop(_GENERAL_FORMATS.get(best.form, ""), None)
    refused = [f"not read as {name}: {str(error)[:_MAX_REASON]}" for name, error in refusals.items()]
    remarks = (*_describe_others(best, readings), *refused)
    return best._replace(source=best.source._replace(remarks=(*remarks, *best.source.remarks)))


def _measure_shares(readings: Sequence[RecognizedSource]) -> dict[str, float]:
    """Measure how much each format explains; of several, files that none reads as images do not count."""
    read = {image.source for reading in readings for image in reading.source.images}
    known = read if len(readings) > 1 else None
    return {reading.form: reading.measure_share(known) for reading in readings}


def _find_formats(form: str, folder: Path) -> tuple[Sequence[str], Path]:
    """Find the formats that match a source, and the folder that holds them: itself, or the only one in it.

    Raises:
        UserError: There is no such folder, or no format matches it.
    """
    if not folder.is_dir():
        raise UserError(f"data.source={folder} is not a folder: set it to the folder that holds the images")
    if form not in {"auto", *ANNOTATION_FORMATS}:
        raise UserError(f"unknown format {form}: use auto, or one of {', '.join(ANNOTATION_FORMATS)}")
    candidates = ANNOTATION_FORMATS if form == "auto" else (form,)
    for place in _iterate_nested(folder):
        if not (matching := find_matching_formats(place, candidates)):
            continue
        if form == "auto" and matching == [FALLBACK_FORMAT] and (inner := find_datasets_in_classes(place)):
            raise UserError(f"no annotations recognized in {place}{list_datasets(inner, place)}")
        return matching, place
    if form != "auto":
        return [form], folder  # its reader says what is missing
    if datasets := find_nested_datasets(folder):
        raise UserError(f"no annotations recognized in {folder}{list_datasets(datasets, folder)}")
    descriptions = {name: reader.RECOGNIZED_BY for name, reader in load_formats().items()}
    if known := describe_known_export(folder):
        raise UserError(f"no annotations recognized in {folder}: {known}")
    doubt = next(filter(None, map(describe_doubt, _iterate_nested(folder))), "")
    raise UserError(
        f"no annotations recognized in {folder}{doubt}: {explain_unknown_format(folder, descriptions)}"
    )


def _prefix_paths(source: Source, inner: str) -> Source:
    """Make the file names of an inner folder relative to the source folder."""
    images = tuple(image._replace(source=f"{inner}/{image.source}") for image in source.images)
    defects = tuple(defect._replace(file=f"{inner}/{defect.file}") for defect in source.defects)
    return source._replace(images=images, defects=defects)


def _iterate_nested(folder: Path) -> Iterator[Path]:
    """Yield the folder, then the only folder in it, and so on: archives often hold one outer folder."""
    for _ in range(_MAX_NESTED_FOLDERS):
        yield folder
        inner = list_subfolders(folder)
        if len(inner) != 1:
            return
        folder = inner[0]


def _describe_others(best: RecognizedSource, readings: Sequence[RecognizedSource]) -> tuple[str, ...]:
    """Name the other formats, and say so if the best one explains few images.

    Raises:
        UserError: Another format contradicts it.
    """
    shares = _measure_shares(readings)
    known = {best.form, _GENERAL_FORMATS.get(best.form)}
    others = [reading for reading in readings if reading.form not in known]
    remarks = []
    if others:
        listed = " and ".join(f"{other.form} ({shares[other.form]:.0%})" for other in others)
        compared = (
            describe_difference((best.form, best.source), (each.form, each.source)) for each in others
        )
        differences = "; ".join(filter(None, compared))
        remarks.append(
            f"read as {best.form} ({shares[best.form]:.0%} of the images have annotations), though it "
            f"looks like {listed} too{f' ({differences})' if differences else ''}: data.format decides"
        )
    elif best.share < _LOW_SHARE:
        remarks.append(f"read as {best.form}, which annotates only {best.share:.0%} of the images")
    return tuple(remarks)
