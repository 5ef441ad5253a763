"""Read or draw the images of conf/data, and ingest all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from operator import call
from pathlib import Path
from typing import NamedTuple

from pipeline.config.groups.compute import ComputeConfig
from pipeline.config.groups.data import DataConfig
from pipeline.config.schema import Config
from pipeline.config.source_paths import find_source_folder, resolve_sources
from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.core.tasks import TASKS, Keypoints, Task, can_convert_task
from pipeline.core.text import format_count
from pipeline.dataset.pseudo_labels import IMAGES_FOLDER, PSEUDO_LABELS_FILE, has_pseudo_labels
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.file_names import find_unsafe_names
from pipeline.prepare.images.cache import CheckedImageCache
from pipeline.prepare.ingest import IngestedImage, IngestResult, IngestSettings, ingest_drawn_image
from pipeline.prepare.parallel_ingest import PendingImage, ingest_locally, ingest_on_cluster
from pipeline.prepare.stated_sizes import refuse_other_sizes
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.runtime.backends import open_executor
from pipeline.runtime.progress import Progress
from pipeline.source.archives.extract import unpack_source
from pipeline.source.join_sources import read_sources
from pipeline.source.reading.class_selection import filter_source_classes
from pipeline.source.recognize_format import RecognizedSource
from pipeline.source.types import AnnotatedImage, ReadOptions, Source
from pipeline.storage.scratch_folder import create_scratch_folder, project_root


class IngestedSource(NamedTuple):
    """A source after the check of all its images.

    Attributes:
        roots: The source folders by the names that image names start with; a single one has the name "";
            empty where images are drawn.
        annotated: The source as it was read, with the task and key points of the dataset.
        images: The usable images.
        findings: All findings, those about the source first.
    """

    roots: Mapping[str, Path]
    annotated: Source
    images: list[IngestedImage]
    findings: list[Finding]

    @property
    def files(self) -> list[str]:
        """Each image of the source, and each other file that was quarantined."""
        images = [annotated.source for annotated in self.annotated.images]
        drawn = [ingested.source for ingested in self.images]
        others = [defect.file for defect in self.annotated.defects if defect.verdict == "quarantined"]
        return (images or drawn) + others


def ingest_source(config: Config, thumbnails: ThumbnailStore, *, staging: Path) -> IngestedSource:
    """Read the source of conf/data, or draw it, and check its images.

    Args:
        config: The configuration.
        thumbnails: Where thumbnails are stored.
        staging: The folder for repaired and drawn images.

    Raises:
        UserError: The source cannot be read, or cannot be converted to the configured task.
    """
    data = config.data
    paths = resolve_sources(project_root(), data.source)
    roots = {name: unpack_source(path) for name, path in paths.items()}
    source, results = (
        _ingest_images(config, roots, thumbnails, staging)
        if roots
        else _draw_images(config, thumbnails, staging)
    )
    images = [ingested for ingested, _ in results if ingested]
    findings = [*source.defects, *(finding for _, found in results for finding in found)]
    folders = {name: find_source_folder(root) for name, root in roots.items()}
    return IngestedSource(folders, source, images, findings)


def _ingest_images(
    config: Config, roots: Mapping[str, Path], thumbnails: ThumbnailStore, staging: Path
) -> tuple[Source, list[IngestResult]]:
    source = read_configured_source(config.data, roots).source
    settings, keypoints = build_ingest_settings(config.data, source, roots)
    name_notes = find_unsafe_names([annotated.source for annotated in source.images])
    pending = (
        PendingImage(_add_name_note(annotated, name_notes), staging / str(number))
        for number, annotated in enumerate(source.images)
    )
    samples = [annotated.path for annotated in source.images[:1]]
    with ingest_pending_images(
        config.compute, pending, settings, samples=samples, total=len(source.images)
    ) as ingested:
        results = thumbnails.store_thumbnails(ingested)
    return source._replace(task=settings.required.task, keypoints=keypoints), results


@contextmanager
def ingest_pending_images(
    compute: ComputeConfig,
    pending: Iterable[PendingImage],
    settings: IngestSettings,
    *,
    samples: Sequence[Path],
    total: int,
) -> Iterator[Iterator[IngestResult]]:
    """Check images where conf/compute says, with the cache of file checks; yield an iterator of the results.

    Args:
        compute: The values of conf/compute.
        pending: The images.
        settings: How they are checked.
        samples: Some of their files, which each node must find.
        total: Number of images.
    """
    ingest = ingest_locally if compute.backend == "local" else ingest_on_cluster
    with (
        CheckedImageCache(create_scratch_folder() / "examined.db") as cache,
        open_executor(compute.backend, address=compute.address, samples=samples) as execute,
    ):
        yield ingest(pending, settings, cache, execute=execute, total=total)


def _add_name_note(annotated: AnnotatedImage, name_notes: Mapping[str, AnnotationNote]) -> AnnotatedImage:
    note = name_notes.get(annotated.source)
    return annotated._replace(notes=(*annotated.notes, note)) if note else annotated


def read_configured_source(data: DataConfig, roots: Mapping[str, Path]) -> RecognizedSource:
    """Read the source folders as conf/data says, with its choice of classes.

    Args:
        data: The values of conf/data.
        roots: The folders, as in `IngestedSource`.

    Raises:
        UserError: They cannot be read so, or have pseudo-labels.
    """
    _refuse_pseudo_labels(find_source_folder(root) for root in roots.values())
    named = [name for name in ReadOptions._fields if name != "file"]
    options = ReadOptions(**{name: getattr(data, name) for name in named})
    found = read_sources(data.format, roots, options)
    _refuse_pseudo_labels(_list_datasets(found.source))
    return found._replace(source=filter_source_classes(found.source, **data.classes.model_dump()))


def _list_datasets(source: Source) -> set[Path]:
    """List the folders whose images/ holds an image: the source may be above them, or such an images/."""
    folders = {annotated.path.absolute().parent for annotated in source.images}
    holders = {place for folder in folders for place in (folder, *folder.parents)}
    return {place.parent for place in holders if place.name == IMAGES_FOLDER}


def _refuse_pseudo_labels(folders: Iterable[Path]) -> None:
    """Refuse a folder of pseudo-labels as a source: val and test would be what a model says.

    Raises:
        UserError: There is one.
    """
    for folder in filter(has_pseudo_labels, folders):
        raise UserError(
            f"data.source: {folder} has labels that a model made ({PSEUDO_LABELS_FILE}): name it in "
            f"data.unlabelled_source; or delete {PSEUDO_LABELS_FILE} once people have checked every label"
        )


def build_ingest_settings(
    data: DataConfig, source: Source, roots: Mapping[str, Path]
) -> tuple[IngestSettings, Keypoints | None]:
    """Return how the images of a source are checked, and the keypoints of the dataset.

    Args:
        data: The values of conf/data.
        source: As it was read.
        roots: The folders, as in `IngestedSource`.

    Raises:
        UserError: The annotations cannot be converted to the configured task, or state other sizes than the
            images have.
    """
    task = _choose_task(data, source.task)
    keypoints = replace(source.keypoints, dims=3) if source.keypoints and task == "pose" else None
    required = TaskRequirements(task, len(source.names), keypoints.count if keypoints else 0)
    refuse_other_sizes(source.images, data.sizes)
    folders = tuple(map(find_source_folder, roots.values()))
    settings = IngestSettings(source.task, required, data.on_defect, folders, sizes=data.sizes)
    return settings, keypoints


def _choose_task(data: DataConfig, source_task: Task) -> Task:
    """Return the task of the dataset.

    Raises:
        UserError: The annotations cannot be converted to it.
    """
    task = source_task if data.task == "auto" else data.task
    if not can_convert_task(source_task, task):
        possible = ", ".join(other for other in TASKS if can_convert_task(source_task, other))
        raise UserError(
            f"data.task={task} does not fit the labels of {data.source_text}: set data.task to {possible}"
        )
    return task


def name_origin(image: str, *, several: bool) -> str:
    """Return the source that an image is from, where there are several: the start of its name."""
    return image.partition("/")[0] if several else ""


def refuse_defects(findings: Sequence[Finding], data: DataConfig) -> None:
    """Stop if there is any finding and data.on_defect is `refuse`.

    Raises:
        UserError: The same, with the first finding.
    """
    if findings and data.on_defect == "refuse":
        first, number = min(findings), len({finding.file for finding in findings})
        raise UserError(
            f"{format_count(number, 'file')} of {data.source_text} with defects, the first is {first.file}: "
            f"{first.reason}; correct them, or set data.on_defect=fix or quarantine "
            "(`python -m pipeline inspect` lists them all)"
        )


def _draw_images(
    config: Config, thumbnails: ThumbnailStore, staging: Path
) -> tuple[Source, list[IngestResult]]:
    from pipeline.source.synthetic.demo import select_demo_dataset  # only where images are drawn

    data, compute = config.data, config.compute
    task: Task = "detect" if data.task == "auto" else data.task
    demo = select_demo_dataset(data.format, task)
    draw = partial(demo.draw, seed=data.seed, pixels=data.pixels)
    total = data.images or 0
    work = (
        partial(ingest_drawn_image, index, task, draw=draw, staged_file=staging / str(index))
        for index in range(total)
    )
    with open_executor(compute.backend, address=compute.address) as execute:
        progress = Progress("prepare", total, unit="images drawn")
        results = thumbnails.store_thumbnails(execute(call, work, progress=progress))
    return Source(demo.names, (), task=task, keypoints=demo.keypoints), results
