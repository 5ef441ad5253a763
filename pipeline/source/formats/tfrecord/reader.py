"""Read TFRecord files of TensorFlow's object detection API: images and boxes in one file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.core.text import format_count
from pipeline.source.formats.tfrecord.examples import (
    IMAGE_KEY,
    KEYPOINTS_NOTE,
    MASKS_NOTE,
    parse_record,
    read_label_maps,
)
from pipeline.source.formats.tfrecord.records import is_tfrecord_head, iterate_records
from pipeline.source.reading.entries import ImageAnnotations
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, read_head, sort_paths
from pipeline.source.reading.shapes import remove_blanks
from pipeline.source.reading.task_inference import TaskPlan, build_raw_objects, infer_task
from pipeline.source.types import DEFAULT_OPTIONS, AnnotatedImage, ReadOptions, Source, find_split_in_name

RECOGNIZED_BY: Final = "TFRecord files (.tfrecord, .tfrec, .record) of TensorFlow's object detection API"

_SUFFIXES: Final = (".tfrecord", ".tfrecords", ".tfrec", ".record", *"0123456789")
"""Parts of a large set end in a number: train.tfrecord-00000-of-00010."""
_WORDS: Final = (".tfrec", ".record")
_HEAD_BYTES: Final = 12
_MAX_CHECKED_FILES: Final = 20
_OTHER_WAYS: Final = (
    "export the dataset as COCO or YOLO, or convert it, such as with Datumaro: "
    "datum convert -if tf_detection_api -i FOLDER -f coco -o OUT -- --save-media"
)


class TfRecordContent(NamedTuple):
    """The images of all files, findings about records, and the number of records without an image."""

    entries: list[ImageAnnotations]
    defects: list[Finding]
    others: int


def matches_folder(folder: Path) -> bool:
    """Check the checksum at the start of the first TFRecord files."""
    return any(
        is_tfrecord_head(read_head(path, _HEAD_BYTES))
        for path in islice(_iterate(folder), _MAX_CHECKED_FILES)
    )


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read TFRecord files; the images stay in them until they are checked.

    Raises:
        UserError: There is no such file, or none holds images of the object detection API.
    """
    names = read_label_maps(folder)
    content = _read_files(sort_paths(_iterate(folder)), folder, names, options)
    if not content.entries:
        found = (
            f"{format_count(content.others, 'record')} without {IMAGE_KEY!r}" if content.others else "none"
        )
        raise UserError(f"no TFRecord of the object detection API in {folder}: found {found}; {_OTHER_WAYS}")
    objects = [item for entry in content.entries if not entry.fault for item in entry.objects]
    plan = infer_task(objects, tuple(dict.fromkeys(remove_blanks(names[number]) for number in sorted(names))))
    images = _build_images(content.entries, folder, plan)
    remarks = list(plan.remarks)
    if content.others:
        remarks.append(f"{format_count(content.others, 'record')} without an image: left aside")
    for what, note in (("masks", MASKS_NOTE), ("keypoints", KEYPOINTS_NOTE)):
        if count := sum(note in entry.notes for entry in content.entries):
            remarks.append(f"{format_count(count, 'image')} with {what}, which are not read: boxes alone are")
    return Source(plan.names, images, tuple(content.defects), tuple(remarks), task=plan.task)


def _iterate(folder: Path) -> Iterator[Path]:
    """Yield the files with the name of a TFRecord file."""
    for path in iterate_files(folder, *_SUFFIXES):
        if any(word in path.name.lower() for word in _WORDS):
            yield path


def _read_files(
    paths: Iterable[Path], folder: Path, names: Mapping[int, str], options: ReadOptions
) -> TfRecordContent:
    content = TfRecordContent([], [], 0)
    for path in paths:
        number, place = 0, format_relative_path(path, folder)
        try:
            for number, record in enumerate(iterate_records(path), 1):
                try:
                    entry = parse_record(record, path, names, options)
                except ValueError as error:
                    content.defects.append(_report_record(place, number, error))
                    continue
                content.entries.extend([entry] if entry else [])
                content = content._replace(others=content.others + (entry is None))
        except (OSError, ValueError) as error:
            content.defects.append(_report_record(place, number + 1, error))
    return content


def _report_record(place: str, number: int, error: Exception) -> Finding:
    return Finding(f"{place}/record {number}", "quarantined", f"cannot be read: {error}", "unreadable-label")


def _build_images(
    entries: Sequence[ImageAnnotations], folder: Path, plan: TaskPlan
) -> tuple[AnnotatedImage, ...]:
    """Return an image for each record, named after its file and the name in the record."""
    claims = {path: _find_split(path, folder) for path in {entry.file for entry in entries}}
    several = len(set(claims.values()) - {None}) > 1
    listed = Counter((entry.file, entry.names[0]) for entry in entries)
    images = []
    for number, entry in enumerate(entries, 1):
        name = entry.names[0]
        is_unique = name and listed[entry.file, name] == 1
        place = format_relative_path(entry.file, folder)
        images.append(
            AnnotatedImage(
                entry.file,
                f"{place}/{name}" if is_unique else f"{place}/{number:06d}/{name or 'image'}",
                claims[entry.file] if several else None,
                build_raw_objects([] if entry.fault else entry.objects, plan),
                normalized=True,
                size=entry.size,
                notes=entry.notes,
                fault=entry.fault or _explain_missing_class(entry, plan),
                load=entry.load,
            )
        )
    return tuple(images)


def _explain_missing_class(entry: ImageAnnotations, plan: TaskPlan) -> str:
    if plan.task != "classify":
        return ""
    labels = {item.label for item in entry.objects}
    return "" if len(labels) == 1 else f"{format_count(len(labels), 'class')} given for it, not one"


def _find_split(path: Path, folder: Path) -> str | None:
    """Find the split in the name of a file, or of the nearest folder that names one."""
    parts = (path.name, *reversed(path.parent.relative_to(folder).parts))
    return next((split for part in parts if (split := find_split_in_name(part))), None)
