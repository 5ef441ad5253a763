"""Inspect folders or archives: report what prepare would find (`finetrack inspect`).

It writes nothing but unpacked archives and their hashes, in .finetrack/.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np

from pipeline.commands.command_line.override_quoting import build_run_command, build_use_command
from pipeline.commands.command_line.override_words import SETTABLE_KEYS, parse_key
from pipeline.commands.source_setup.source_config import (
    SourceConfig,
    compose_source_config,
    find_training_imgsz,
    load_source_config,
)
from pipeline.commands.source_setup.source_overview import (
    InspectedImage,
    SourceDescription,
    SourceOverview,
    format_json,
    format_text,
    summarize_source,
)
from pipeline.compose.source_overlap import refuse_overlapping_source
from pipeline.config.automatic import get_number
from pipeline.config.source_paths import find_source_folder, resolve_sources
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.geometry.rotated_boxes import measure_rotated_sides
from pipeline.core.text import format_count
from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE
from pipeline.prepare.duplicates.search import NO_THUMBNAILS
from pipeline.prepare.file_names import find_unsafe_names
from pipeline.prepare.ingest import IngestSettings, check_annotated_image
from pipeline.prepare.ingest_source import (
    build_ingest_settings,
    name_origin,
    read_configured_source,
    refuse_defects,
)
from pipeline.prepare.report.statistics import ImageStatistics, build_columns
from pipeline.prepare.report.warnings import find_warnings
from pipeline.prepare.splits.partition import UNLISTED_REASON, SplitImage, SplitRules, split_dataset
from pipeline.prepare.stored_splits import find_next_history
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads
from pipeline.source.archives.extract import unpack_source
from pipeline.source.reading.unicode_names import escape_text
from pipeline.source.types import AnnotatedImage


class UsableImage(NamedTuple):
    """One image that prepare would use.

    Attributes:
        candidate: What splitting needs.
        statistics: What the report's warnings need; its split is not known yet.
        thumbnail: Its thumbnail; empty if it has none.
    """

    candidate: SplitImage
    statistics: ImageStatistics
    thumbnail: bytes


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print.

    Args:
        arguments: `path` (one or several), `overrides` for Hydra, `format`, `json`.

    Raises:
        UserError: There is no such folder or archive, its format is not recognized, or an override is wrong.
    """
    if not arguments.path:
        raise UserError(
            f"there is no file or folder {arguments.overrides[0]}: give one, and overrides after it"
        )
    if arguments.overrides:
        config = compose_source_config(arguments.path, arguments.format, arguments.overrides)
    else:
        config = load_source_config(arguments.path, arguments.format)
        config = config._replace(imgsz=find_training_imgsz(config.imgsz))
    overview = inspect_source([Path(path) for path in arguments.path], config=config)
    return [format_json(overview)] if arguments.json else format_text(overview)


def inspect_source(
    paths: Sequence[Path], *, form: str = "auto", config: SourceConfig | None = None
) -> SourceOverview:
    """Read a source and check each image as prepare would, in parallel; no image is kept in memory.

    Args:
        paths: A folder or an archive, or several that are read as one source.
        form: The format, as in data.format, if no config is given.
        config: How prepare would read it; by default as conf/data/auto.yaml says.

    Raises:
        UserError: There is no such folder or archive, or it cannot be read.
    """
    names = [str(path) for path in paths]
    for path in paths:
        refuse_overlapping_source(str(path), find_source_folder(path))
    roots = {name: unpack_source(path) for name, path in resolve_sources(Path.cwd(), names).items()}
    config = config or load_source_config(names, form)
    data = config.data
    form, source = read_configured_source(data, roots)
    settings, keypoints = build_ingest_settings(data, source, roots)
    name_notes = find_unsafe_names([image.source for image in source.images])
    inspect = partial(_inspect_image, settings=settings, several=len(roots) > 1)
    work = [partial(inspect, image, name_notes.get(image.source)) for image in source.images]
    described = SourceDescription(
        escape_text(data.source_text), form, settings.required.task, source.names, keypoints, source.remarks
    )
    with TemporaryFile() as thumbnails:
        usable: list[UsableImage] = []
        each = map_in_threads(call, work, progress=Progress("inspect", len(work)))
        overview = summarize_source(described, _collect_usable(each, usable, thumbnails), source.defects)
        return _predict_split(overview, usable, config, thumbnails)


def _inspect_image(
    annotated: AnnotatedImage, name: AnnotationNote | None, *, settings: IngestSettings, several: bool
) -> tuple[InspectedImage, UsableImage | None]:
    """Check an image; return what the overview counts, and what is needed of it later."""
    result, findings = check_annotated_image(
        annotated._replace(notes=(*annotated.notes, name)) if name else annotated, settings
    )
    if result is None:
        return InspectedImage(annotated.split, False, (), tuple(findings)), None
    image, checked = result
    classes, source, look = tuple(checked.classes.tolist()), annotated.source, image.appearance
    origin = name_origin(source, several=several)
    sides = measure_rotated_sides(checked.outlines) if settings.required.task == "obb" else None
    usable = UsableImage(
        SplitImage(
            source, image.sha256, annotated.split, frozenset(classes), annotated.columns, origin=origin
        ),
        ImageStatistics(
            "", image.size, classes, checked.boxes, source, look.brightness, look.sharpness, sides
        ),
        look.thumbnail,
    )
    return InspectedImage(annotated.split, True, classes, tuple(findings)), usable


def _collect_usable(
    each: Iterable[tuple[InspectedImage, UsableImage | None]],
    usable: list[UsableImage],
    thumbnails: IO[bytes],
) -> Iterator[InspectedImage]:
    """Yield what the overview counts; collect the usable images, with all thumbnails in one file."""
    rows = 0
    for inspected, image in each:
        if image:
            row = rows if image.thumbnail else None
            rows += bool(thumbnails.write(image.thumbnail))
            usable.append(image._replace(candidate=image.candidate._replace(thumbnail=row), thumbnail=b""))
        yield inspected


def _predict_split(
    overview: SourceOverview, usable: Sequence[UsableImage], config: SourceConfig, thumbnails: IO[bytes]
) -> SourceOverview:
    """Split the images as prepare would; add its remarks and warnings, or the reason why it would stop."""
    if not usable:
        return replace(overview, refusal="none of its images can be used")
    thumbnails.flush()
    shape = thumbnails.tell() // THUMBNAIL_SIDE**2, THUMBNAIL_SIDE, THUMBNAIL_SIDE
    array = np.memmap(thumbnails, np.uint8, "r", shape=shape) if shape[0] else NO_THUMBNAILS
    values = config.data.model_dump()
    rules = SplitRules(**{key: values[key] for key in SplitRules._fields})
    candidates = [image.candidate for image in usable]
    try:
        refuse_defects(overview.defects, config.data)
        result = split_dataset(candidates, rules, find_next_history(values), thumbnails=array)
    except UserError as error:
        return replace(overview, refusal=str(error))
    unlisted = len(candidates) - len(result.splits) - len(result.outside)
    notes = [f"{format_count(unlisted, 'image is', 'images are')} {UNLISTED_REASON}"] if unlisted else []
    overview = replace(overview, remarks=(*overview.remarks, *result.remarks, *notes))
    use, once = build_commands(config)
    overview = replace(overview, use=use, command=once)
    return _add_warnings(overview, usable, result.splits, imgsz=get_number(config.imgsz))


def build_commands(config: SourceConfig) -> tuple[str, str]:
    """Return the command that uses a source for all runs, and the one that runs the pipeline on it once.

    Either is empty where it cannot say this configuration.
    """
    data, overrides = config.data, config.overrides
    form = "auto" if any(parse_key(word) in {"data", "data.format"} for word in overrides) else data.format
    settable = all(parse_key(word) in SETTABLE_KEYS for word in overrides)
    source = data.source or []
    use = build_use_command(source, form, overrides) if settable else ""
    return use, build_run_command(source, form, overrides)


def _add_warnings(
    overview: SourceOverview, usable: Sequence[UsableImage], splits: Mapping[str, str], *, imgsz: int | None
) -> SourceOverview:
    table = build_columns(
        [
            image.statistics._replace(split=splits[image.candidate.key])
            for image in usable
            if image.candidate.key in splits
        ]
    )
    warnings = find_warnings(table, overview.names, overview.task, imgsz=imgsz)
    return replace(overview, warnings=tuple(warnings))
