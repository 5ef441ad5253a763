"""Inspect a folder or an archive: report what prepare would find (`finetrack inspect`).

It writes nothing but unpacked archives and their hashes, in .finetrack/.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

import numpy as np

from pipeline.commands.source_overview import (
    InspectedImage,
    SourceDescription,
    SourceOverview,
    format_json,
    format_text,
    summarize_source,
)
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE
from pipeline.prepare.duplicates.search import NO_THUMBNAILS
from pipeline.prepare.file_names import find_unsafe_names
from pipeline.prepare.ingest import IngestSettings, check_annotated_image
from pipeline.prepare.splits.partition import UNLISTED_REASON, SplitImage, SplitRules, split_dataset
from pipeline.prepare.stored_splits import find_next_history
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads
from pipeline.source.archives.extract import unpack_source
from pipeline.source.reading.unicode_names import escape_text
from pipeline.source.recognize_format import recognize_source
from pipeline.source.types import AnnotatedImage

DEFAULT_SPLIT_RULES: Final = SplitRules(
    split={"train": 0.7, "val": 0.15, "test": 0.15},
    keep_split=True,
    group_by=None,
    near_duplicates=True,
    on_leak="refuse",
    folds=None,
    fold=0,
    seed=0,
)
"""As conf/data has them."""


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print.

    Args:
        arguments: `path`, `format`, `json`.

    Raises:
        UserError: There is no such folder or archive, or its format is not recognized.
    """
    overview = inspect_source(Path(arguments.path), form=arguments.format)
    return [format_json(overview)] if arguments.json else format_text(overview)


def inspect_source(path: Path, *, form: str = "auto") -> SourceOverview:
    """Read a source and check each image as prepare would, in parallel; no image is kept in memory."""
    folder = unpack_source(path)
    form, source = recognize_source(form, folder)
    points = source.keypoints.count if source.keypoints else 0
    settings = IngestSettings(
        source.task, TaskRequirements(source.task, len(source.names), points), "fix", (folder,)
    )
    name_notes = find_unsafe_names([image.source for image in source.images])
    work = [partial(_inspect_image, image, settings, name_notes.get(image.source)) for image in source.images]
    described = SourceDescription(
        escape_text(str(path)), form, source.task, source.names, source.keypoints, source.remarks
    )
    with TemporaryFile() as thumbnails:
        candidates: list[SplitImage] = []
        each = map_in_threads(call, work, progress=Progress("inspect", len(work)))
        overview = summarize_source(
            described, _collect_split_images(each, candidates, thumbnails), source.defects
        )
        return _predict_split(overview, candidates, thumbnails)


def _inspect_image(
    annotated: AnnotatedImage, terms: IngestSettings, name: AnnotationNote | None
) -> tuple[InspectedImage, SplitImage | None, bytes]:
    """Check an image; return what the overview counts, what splitting needs, and its thumbnail."""
    result, findings = check_annotated_image(
        annotated._replace(notes=(*annotated.notes, name)) if name else annotated, terms
    )
    if result is None:
        return InspectedImage(annotated.split, False, (), tuple(findings)), None, b""
    image, checked = result
    classes = tuple(checked.classes.tolist())
    split_image = SplitImage(
        annotated.source, image.sha256, annotated.split, frozenset(classes), annotated.columns
    )
    return (
        InspectedImage(annotated.split, True, classes, tuple(findings)),
        split_image,
        image.appearance.thumbnail,
    )


def _collect_split_images(
    each: Iterable[tuple[InspectedImage, SplitImage | None, bytes]],
    candidates: list[SplitImage],
    thumbnails: IO[bytes],
) -> Iterator[InspectedImage]:
    """Yield what the overview counts; collect what splitting needs, with all thumbnails in one file."""
    rows = 0
    for inspected, split_image, thumbnail in each:
        if split_image:
            candidates.append(split_image._replace(thumbnail=rows if thumbnail else None))
            rows += bool(thumbnails.write(thumbnail))
        yield inspected


def _predict_split(
    overview: SourceOverview, candidates: Sequence[SplitImage], thumbnails: IO[bytes]
) -> SourceOverview:
    """Split the images as prepare would; add its remarks, or the reason why it would stop."""
    if not candidates:
        return replace(overview, refusal="none of its images can be used")
    thumbnails.flush()
    shape = thumbnails.tell() // THUMBNAIL_SIDE**2, THUMBNAIL_SIDE, THUMBNAIL_SIDE
    array = np.memmap(thumbnails, np.uint8, "r", shape=shape) if shape[0] else NO_THUMBNAILS
    try:
        history = find_next_history(DEFAULT_SPLIT_RULES._asdict())
        result = split_dataset(candidates, DEFAULT_SPLIT_RULES, history, thumbnails=array)
    except UserError as error:
        return replace(overview, refusal=str(error))
    unlisted = len(candidates) - len(result.splits)
    notes = [f"{format_count(unlisted, 'image is', 'images are')} {UNLISTED_REASON}"] if unlisted else []
    return replace(overview, remarks=(*overview.remarks, *result.remarks, *notes))
