"""prepare: source images -> one checked, split, canonical YOLO dataset."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path

from pipeline.config.data import DataConfig
from pipeline.config.schema import Config
from pipeline.core import findings, tasks
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.paths import DIVISION, PREPARED, SPLITS
from pipeline.core.tasks import TASKS, Task
from pipeline.core.text import format_count
from pipeline.dataset import link_cache
from pipeline.dataset.link_cache import LinkCache
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import lay_out, write_manifest
from pipeline.prepare import duplicate_search, file_names, ingest, split_history, write_dataset
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.duplicate_search import CachedDuplicateSearch
from pipeline.prepare.images.cache import CheckedImageCache
from pipeline.prepare.ingest import IngestedImage, IngestResult, IngestSettings, PendingImage
from pipeline.prepare.report import page as report_page
from pipeline.prepare.report import statistics
from pipeline.prepare.report.page import ReportContent
from pipeline.prepare.report.statistics import ImageStatistics
from pipeline.prepare.splits import history, partition
from pipeline.prepare.splits.partition import UNLISTED, SplitImage, SplitResult, SplitRules
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.prepare.write_dataset import DatasetWriter
from pipeline.runtime import backends, workers
from pipeline.source.archives import extract
from pipeline.source.formats import registry
from pipeline.source.reading import class_selection
from pipeline.source.types import AnnotatedImage, Source
from pipeline.storage import files
from pipeline.storage.files import folder_in_one_piece, project_root, remove_cut_off


def run(config: Config) -> None:
    """Read or draw the images, check them, divide them, and write data/prepared in one piece."""
    remove_cut_off(PREPARED)
    with _without_collecting(), folder_in_one_piece(PREPARED) as folder:
        lay_out(folder)
        root = _root(config.data)
        thumbnails = ThumbnailStore(folder / "held" / "thumbnails")
        source, outcomes = _take_in(config, root, thumbnails, hold=folder / "held")
        found = [*source.defects, *(defect for _, noted in outcomes for defect in noted)]
        _refuse(found, config.data)
        taken = [image for image, _ in outcomes if image]
        parted = _part(taken, source, config.data, found, thumbnails=thumbnails)
        used = [image for image in taken if image.source in parted.splits]
        found += _unlisted(taken, parted.splits)
        items = _place(folder, used, parted.splits, source.task)
        shutil.rmtree(folder / "held")
        manifest = write_manifest(
            folder, Manifest(source.task, source.names, tuple(items), source.keypoints, parted.leak)
        )
        described = [_described(image, parted.splits) for image in used]
        files.write(folder / "statistics.json", _statistics(described, source.names))
        remarks = [*source.remarks, *parted.remarks]
        findings.settle(_came(source, outcomes), [image.source for image in used], found)
        files.write(folder / "defects.json", findings.render(found, used=len(used), remarks=remarks))
        page = ReportContent(_name(config.data), manifest, described, found, remarks, root, parted.copies)
        report_page.write(folder, page._replace(shown=config.data.samples, seed=config.data.seed))
    files.write(DIVISION, history.render(parted.earlier))
    _report(manifest, found, remarks)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Do not look for cycles among millions of objects that have none: it takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _root(data: DataConfig) -> Path | None:
    """Return the source folder; None where images are drawn."""
    return extract.opened(project_root() / Path(data.source).expanduser()) if data.source else None


def _take_in(
    config: Config, root: Path | None, thumbnails: ThumbnailStore, *, hold: Path
) -> tuple[Source, list[IngestResult]]:
    """Read the source, or draw it; mended copies of images are kept in `hold`.

    Returns:
        The source with the task that is wanted, and what became of each image.
    """
    hold.mkdir()
    data, compute = config.data, config.compute
    if root is None:
        return _draw(config, thumbnails, hold=hold)
    source = class_selection.choose(registry.read(data.format, root, data.task), **data.classes.model_dump())
    task = _task(data, source.task)
    points = replace(source.keypoints, dims=3) if source.keypoints and task == "pose" else None
    wanted = TaskRequirements(task, len(source.names), points.count if points else 0)
    names = file_names.findings([entry.source for entry in source.images])
    terms = IngestSettings(source.task, wanted, data.on_defect, root)
    todo = (
        PendingImage(_named(entry, names), hold / str(number)) for number, entry in enumerate(source.images)
    )
    take = ingest.here if compute.backend == "local" else ingest.elsewhere
    seen = [entry.path for entry in source.images[:1]]
    with (
        CheckedImageCache(files.scratch() / "examined.db") as memory,
        backends.dealer(compute.backend, address=compute.address, seen=seen) as each,
    ):
        taken = take(todo, terms, memory, each=each, total=len(source.images))
        outcomes = thumbnails.take_from(taken)
    return source._replace(task=task, keypoints=points), outcomes


def _named(entry: AnnotatedImage, names: Mapping[str, AnnotationNote]) -> AnnotatedImage:
    return entry._replace(notes=(*entry.notes, names[entry.source])) if entry.source in names else entry


def _task(data: DataConfig, found: Task) -> Task:
    """Return the task that is wanted.

    Raises:
        Refused: The annotations cannot serve it.
    """
    wanted = found if data.task == "auto" else data.task
    if not tasks.serves(found, wanted):
        possible = ", ".join(task for task in TASKS if tasks.serves(found, task))
        raise UserError(f"data.task={wanted} cannot be had from the labels of {data.source}: set {possible}")
    return wanted


def _draw(config: Config, thumbnails: ThumbnailStore, *, hold: Path) -> tuple[Source, list[IngestResult]]:
    from pipeline.source.synthetic import demo  # only where images are drawn

    data, compute = config.data, config.compute
    task: Task = "detect" if data.task == "auto" else data.task
    drawing = demo.choose(data.format, task)
    draw = partial(drawing.draw, seed=data.seed, pixels=data.pixels)
    total = data.images or 0
    work = (partial(ingest.drawn, index, task, draw=draw, hold=hold / str(index)) for index in range(total))
    with backends.dealer(compute.backend, address=compute.address) as each:
        outcomes = thumbnails.take_from(each(call, work, total=total, what="prepare"))
    return Source(drawing.names, (), task=task, keypoints=drawing.keypoints), outcomes


def _refuse(found: Sequence[Finding], data: DataConfig) -> None:
    """Stop at the first finding where data.on_defect says so."""
    if found and data.on_defect == "refuse":
        first, number = min(found), len({defect.file for defect in found})
        raise UserError(
            f"{format_count(number, 'file')} of {data.source} with defects, the first is {first.file}: "
            f"{first.reason}; mend them, or set data.on_defect=fix or quarantine "
            "(`python -m pipeline inspect` lists them all)"
        )


def _came(source: Source, outcomes: Sequence[IngestResult]) -> list[str]:
    """List what came in: each image, and each other file that was quarantined."""
    images = [entry.source for entry in source.images] or [image.source for image, _ in outcomes if image]
    return images + [defect.file for defect in source.defects if defect.verdict == "quarantined"]


def _part(
    taken: Sequence[IngestedImage],
    source: Source,
    data: DataConfig,
    found: Sequence[Finding],
    *,
    thumbnails: ThumbnailStore,
) -> SplitResult:
    """Say which split each image goes to, as conf/data and earlier divisions have it."""
    if not taken:
        first = f"; the first: {found[0].file}: {found[0].reason}" if found else ""
        number = findings.count(found, used=0).found
        raise UserError(f"none of the {format_count(number, 'image')} in {data.source} can be used{first}")
    columns = {entry.source: entry.columns for entry in source.images if entry.columns}
    entries = [_entry(image, columns.get(image.source, {})) for image in taken]
    values = data.model_dump()
    rules = SplitRules(**{key: values[key] for key in SplitRules._fields})
    search = CachedDuplicateSearch(duplicate_search.place(data.source)).find
    return partition.partition(
        entries, rules, split_history.read(values), thumbnails=thumbnails, search=search
    )


def _entry(image: IngestedImage, columns: Mapping[str, str]) -> SplitImage:
    classes = frozenset(image.classes.tolist())
    return SplitImage(image.source, image.sha256, image.split, classes, columns, image.thumbnail)


def _unlisted(taken: Sequence[IngestedImage], divided: Mapping[str, str]) -> list[Finding]:
    found = (image.source for image in taken if image.source not in divided)
    return [Finding(source, "quarantined", UNLISTED, "unlisted-image") for source in found]


def _place(
    folder: Path, used: Sequence[IngestedImage], divided: Mapping[str, str], task: Task
) -> list[ImageRecord]:
    """Put images and labels into their splits: linked where the last prepare left the same, else written."""
    stems = file_names.stems([image.source for image in used])
    made = DatasetWriter(str(folder), task, LinkCache(link_cache.folder()))
    todo = ((image, f"{divided[image.source]}/{stem}") for image, stem in zip(used, stems, strict=True))
    items = list(workers.each(partial(write_dataset.place, made), todo, total=len(used), what="place"))
    made.kept.forget_others()
    return items


def _name(data: DataConfig) -> str:
    """Return what a person calls the data."""
    return Path(data.source or data.format).name


def _described(image: IngestedImage, divided: Mapping[str, str]) -> ImageStatistics:
    split, classes = divided[image.source], image.classes.tolist()
    look = image.look.brightness, image.look.sharpness
    return ImageStatistics(split, image.size, classes, image.boxes, image.source, *look)


def _statistics(described: Sequence[ImageStatistics], names: Sequence[str]) -> str:
    return json.dumps(statistics.describe(described, names), indent=2, ensure_ascii=False) + "\n"


def _unlearnable(manifest: Manifest, objects: Mapping[str, int]) -> list[str]:
    absent = [name for name, number in manifest.counts("train").items() if objects[name] and not number]
    return [f"no objects in train to learn from: {', '.join(absent)}"] if absent else []


def _report(manifest: Manifest, found: Sequence[Finding], remarks: Sequence[str]) -> None:
    """Print what was made, and what was rejected, for a person to read."""
    counts = findings.count(found, used=len(manifest.items))
    shares = ", ".join(f"{split} {len(manifest.of(split))}" for split in SPLITS)
    each = [manifest.counts(split) for split in SPLITS]
    objects = {name: sum(counts[name] for counts in each) for name in manifest.names}
    listed = ", ".join(f"{name} {number}" for name, number in objects.items() if number)
    total = format_count(sum(objects.values()), "object")
    lines = [
        f"{counts.used} of {format_count(counts.found, 'image')} ({shares}), {total} ({listed})",
        *remarks,
        *_unlearnable(manifest, objects),
        *findings.summary(found),
    ]
    if found:
        lines.append(f"every finding: {PREPARED / 'defects.json'}")
    print("\n".join(f"prepare: {line}" for line in lines))
