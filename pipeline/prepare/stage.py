"""The prepare stage: check, deduplicate, split and write the images as a canonical YOLO dataset."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.config.automatic import get_number
from pipeline.config.groups.data import DataConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.findings import (
    Finding,
    check_file_accounting,
    count_items,
    serialize_findings,
    summarize_findings,
)
from pipeline.core.geometry.rotated_boxes import measure_rotated_sides
from pipeline.core.paths import PREPARED_FOLDER, SPLITS, SPLITS_FILE
from pipeline.core.stages import UNGUARDED, StageGuard
from pipeline.core.tasks import Task
from pipeline.core.text import format_count
from pipeline.dataset.image_columns import COLUMNS_FOLDER, ImageColumns, write_image_columns
from pipeline.dataset.link_cache import LinkCache, link_cache_folder
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import create_prepared_folders, write_manifest
from pipeline.prepare.cached_duplicate_search import CachedDuplicateSearch, locate_search_cache
from pipeline.prepare.contradictions import describe_contradictions
from pipeline.prepare.file_names import assign_file_stems
from pipeline.prepare.ingest import IngestedImage
from pipeline.prepare.ingest_source import IngestedSource, ingest_source, name_origin, refuse_defects
from pipeline.prepare.pseudo_labels.select_images import PseudoImages, select_pseudo_images
from pipeline.prepare.report.page import ReportContent, write_report
from pipeline.prepare.report.statistics import ImageStatistics, describe_splits
from pipeline.prepare.report.warning_lines import REPORT_FILE, format_warning_lines
from pipeline.prepare.report.warnings import BiasWarning
from pipeline.prepare.splits.history import render_history
from pipeline.prepare.splits.partition import (
    UNLISTED_REASON,
    SplitImage,
    SplitResult,
    SplitRules,
    split_dataset,
)
from pipeline.prepare.stored_splits import read_split_history
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.prepare.vanished_files import refuse_vanished_files
from pipeline.prepare.write_dataset import (
    DatasetWriter,
    require_space_for_images,
    write_image_and_label,
)
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads
from pipeline.source.reading.file_tree import record_listings
from pipeline.source.types import Source
from pipeline.storage.files import write_file, write_folder

MAX_NAMED: Final = 10
"""Classes that a remark names; the others are counted."""


def run_stage(config: Config, guard: StageGuard = UNGUARDED) -> None:
    """Read or draw the images, check them, split them, and write data/prepared as a whole or not at all."""
    data = config.data
    with (
        _pause_garbage_collection(),
        write_folder(PREPARED_FOLDER) as folder,
        write_folder(COLUMNS_FOLDER) as columns,
    ):
        create_prepared_folders(folder)
        staging = folder / "staging"
        staging.mkdir()
        thumbnails = ThumbnailStore(staging / "thumbnails")
        with record_listings() as listings:
            source = ingest_source(config, thumbnails, staging=staging)
        refuse_defects(source.findings, data)
        split = _split_images(source, data, thumbnails)
        used = [ingested for ingested in source.images if ingested.source in split.splits]
        findings = _account_for_files(source, used, split.outside)
        refuse_defects(findings, data)
        pseudo = select_pseudo_images(config, source, split=split, thumbnails=thumbnails, staging=staging)
        manifest = _write_images(folder, _place_images(used, split), pseudo, split, source.annotated)
        shutil.rmtree(staging)
        content = ReportContent(
            name=data.source_name,
            manifest=manifest,
            images=[_describe_image(ingested, split.splits, manifest.task) for ingested in used],
            defects=findings,
            remarks=[
                *source.annotated.remarks,
                *split.remarks,
                *_name_absent_classes(manifest, split, source.images),
                *describe_contradictions(used, manifest),
                *pseudo.remarks,
            ],
            roots=source.roots,
            groups=split.duplicate_groups,
            shown=data.samples,
            seed=data.seed,
            left_out=len(split.outside),
        )
        warnings = _write_reports(folder, content, imgsz=get_number(config.finetune.imgsz))
        refuse_vanished_files(listings, source.findings, source.roots)
        guard.confirm()
        write_image_columns(columns, manifest, _describe_columns(used, pseudo, split, source.annotated))
        write_file(SPLITS_FILE, render_history(split.history))  # the last that needs space
    _print_summary(content)
    _print_lines(format_warning_lines(warnings, str(PREPARED_FOLDER / REPORT_FILE)))


@contextmanager
def _pause_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: its search for cycles among millions of objects takes 10% of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _split_images(source: IngestedSource, data: DataConfig, thumbnails: ThumbnailStore) -> SplitResult:
    """Assign a split to each image, by conf/data and the split history.

    Raises:
        UserError: No image can be used, or they cannot be split as conf/data says.
    """
    images, findings = source.images, source.findings
    if not images:
        first = f"; the first: {findings[0].file}: {findings[0].reason}" if findings else ""
        number = count_items(findings, used=0).found
        raise UserError(
            f"none of the {format_count(number, 'image')} in {data.source_text} can be used{first}"
        )
    columns = {annotated.source: annotated.columns for annotated in source.annotated.images}
    several = len(source.roots) > 1
    split_images = [
        _to_split_image(ingested, columns.get(ingested.source, {}), several=several) for ingested in images
    ]
    values = data.model_dump()
    rules = SplitRules(**{key: values[key] for key in SplitRules._fields})
    history = read_split_history(values)
    search = CachedDuplicateSearch(locate_search_cache(data.source)).find
    return split_dataset(split_images, rules, history, thumbnails=thumbnails, search=search)


def _to_split_image(ingested: IngestedImage, columns: Mapping[str, str], *, several: bool) -> SplitImage:
    return SplitImage(
        ingested.source,
        ingested.sha256,
        ingested.split,
        frozenset(ingested.classes.tolist()),
        columns,
        ingested.thumbnail_row,
        origin=name_origin(ingested.source, several=several),
    )


def _account_for_files(
    source: IngestedSource, used: Sequence[IngestedImage], outside: frozenset[str]
) -> list[Finding]:
    """Return all findings; quarantine usable images that the splits of the source do not list.

    Images that data.fraction leaves out have no finding: nothing is wrong with them.

    Raises:
        RuntimeError: A file is neither used nor quarantined, or both.
    """
    used_files = [ingested.source for ingested in used]
    listed = set(used_files)
    usable = (ingested.source for ingested in source.images if ingested.source not in outside)
    unlisted = [file for file in usable if file not in listed]
    findings = source.findings + [
        Finding(file, "quarantined", UNLISTED_REASON, "unlisted-image") for file in unlisted
    ]
    check_file_accounting(set(source.files) - outside, used_files, findings)
    return findings


def _name_absent_classes(
    manifest: Manifest, split: SplitResult, images: Sequence[IngestedImage]
) -> list[str]:
    """Return a sentence about classes whose train images data.fraction leaves out, all of them."""
    if not split.outside:
        return []
    counts = manifest.count_objects("train")
    outside = [image.classes.tolist() for image in images if image.source in split.outside]
    left_out = {number for classes in outside for number in classes}
    absent = [name for number, name in enumerate(manifest.names) if number in left_out and not counts[name]]
    more = f" and {len(absent) - MAX_NAMED} more" if len(absent) > MAX_NAMED else ""
    named = ", ".join(absent[:MAX_NAMED]) + more
    return [f"data.fraction leaves no train image of: {named}"] if absent else []


def _place_images(used: Sequence[IngestedImage], split: SplitResult) -> list[tuple[IngestedImage, str]]:
    """Return each image with its path in the dataset, without suffix."""
    stems = assign_file_stems([ingested.source for ingested in used])
    return [
        (ingested, f"{split.splits[ingested.source]}/{stem}")
        for ingested, stem in zip(used, stems, strict=True)
    ]


def _write_images(
    folder: Path,
    labelled: Sequence[tuple[IngestedImage, str]],
    pseudo: PseudoImages,
    split: SplitResult,
    source: Source,
) -> Manifest:
    """Write images, labels and the manifest; link files that the last prepared dataset had, too."""
    placed = [*labelled, *pseudo.place(labelled)]
    dataset = DatasetWriter(str(folder), source.task, LinkCache(link_cache_folder()))
    require_space_for_images(dataset, placed)
    progress = Progress("prepare", len(placed), unit="images written")
    records = tuple(map_in_threads(partial(write_image_and_label, dataset), placed, progress=progress))
    dataset.link_cache.remove_unused()
    pseudo.write_record(folder)
    return write_manifest(folder, Manifest(source.task, source.names, records, source.keypoints, split.leak))


def _describe_image(ingested: IngestedImage, splits: Mapping[str, str], task: Task) -> ImageStatistics:
    return ImageStatistics(
        splits[ingested.source],
        ingested.size,
        ingested.classes.tolist(),
        ingested.boxes,
        ingested.source,
        ingested.appearance.brightness,
        ingested.appearance.sharpness,
        measure_rotated_sides(ingested.outlines) if task == "obb" else None,
    )


def _describe_columns(
    used: Sequence[IngestedImage], pseudo: PseudoImages, split: SplitResult, source: Source
) -> dict[str, ImageColumns]:
    columns = {annotated.source: annotated.columns for annotated in source.images}
    return {
        ingested.source: ImageColumns(
            split.groups[ingested.source],
            ingested.appearance.brightness,
            ingested.appearance.sharpness,
            columns.get(ingested.source, {}),
        )
        for ingested in used
    } | pseudo.describe_columns()


def _write_reports(folder: Path, content: ReportContent, *, imgsz: int | None) -> list[BiasWarning]:
    """Write statistics.json, defects.json, report.html and samples/; return the warnings for the console.

    No file depends on imgsz, so that another one needs no new prepare; only the warnings do.
    """
    statistics = describe_splits(content.images, content.manifest.names)
    write_file(
        folder / "statistics.json",
        json.dumps(statistics, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
    )
    defects = serialize_findings(content.defects, used=len(content.images), remarks=content.remarks)
    write_file(folder / "defects.json", defects)
    return write_report(folder, content, imgsz=imgsz)


def _print_summary(content: ReportContent) -> None:
    """Print the number of images and objects, the remarks, and the first findings."""
    manifest, findings = content.manifest.select_labelled(), content.defects
    counts = count_items(findings, used=len(manifest.items))
    split_sizes = ", ".join(f"{split} {len(manifest.in_split(split))}" for split in SPLITS)
    by_split = [manifest.count_objects(split) for split in SPLITS]
    objects = {name: sum(in_split[name] for in_split in by_split) for name in manifest.names}
    by_class = ", ".join(f"{name} {number}" for name, number in objects.items() if number)
    total = format_count(sum(objects.values()), "object")
    lines = [
        f"{counts.used} of {format_count(counts.found, 'image')} ({split_sizes}), {total} ({by_class})",
        *content.remarks,
        *summarize_findings(findings),
    ]
    if findings:
        lines.append(f"every finding: {PREPARED_FOLDER / 'defects.json'}")
    _print_lines(lines)


def _print_lines(lines: Iterable[str]) -> None:
    print("\n".join(f"prepare: {line}" for line in lines))
