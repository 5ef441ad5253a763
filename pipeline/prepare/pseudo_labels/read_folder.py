"""Read the folder of data.unlabelled_source: its record, and its images with their pseudo-labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.config.schema import Config
from pipeline.config.source_paths import find_source_folder, resolve_sources
from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import DefectPolicy
from pipeline.core.text import format_count
from pipeline.dataset.labels import EMPTY_LABELS, ImageLabels, parse_labels, xywhn_to_xyxy
from pipeline.dataset.pseudo_labels import (
    IMAGES_FOLDER,
    LABELS_FOLDER,
    PSEUDO_LABELS_FILE,
    PseudoLabelledImage,
    PseudoLabelRecord,
    has_pseudo_labels,
    read_pseudo_label_record,
)
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.ingest import IngestedImage, IngestResult, IngestSettings
from pipeline.prepare.ingest_source import ingest_pending_images
from pipeline.prepare.parallel_ingest import PendingImage
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.source.archives.extract import unpack_source
from pipeline.source.reading.file_tree import list_images
from pipeline.source.types import AnnotatedImage
from pipeline.storage.scratch_folder import project_root


class PseudoLabelFolder(NamedTuple):
    """A folder of pseudo-labels.

    Attributes:
        root: The folder.
        record: Its record.
        prefix: Begins the names of its images in reports; no labelled image has it.
    """

    root: Path
    record: PseudoLabelRecord
    prefix: str


def open_folder(source: str, labelled: Sequence[str]) -> PseudoLabelFolder:
    """Open data.unlabelled_source: a folder, or an archive of one.

    Args:
        source: Its path; a relative one starts at the project's folder. A data.yaml or pseudo.json stands for
            its folder.
        labelled: The names of the labelled images in reports.

    Raises:
        UserError: It does not exist, or `finetrack pseudo-label` did not write it.
    """
    path = resolve_sources(project_root(), source)[""]
    if not path.exists():
        raise UserError(f"data.unlabelled_source={source} does not exist: give the right path")
    root = _find_record(unpack_source(find_source_folder(path)))
    if root is None:
        raise UserError(
            f"data.unlabelled_source={source} has no {PSEUDO_LABELS_FILE}: let a model label its images, "
            "`finetrack pseudo-label FOLDER --model NAME`, and name the folder that this writes"
        )
    prefix = "pseudo-labelled/"
    while any(name.startswith(prefix) for name in labelled):
        prefix = f"_{prefix}"
    return PseudoLabelFolder(root, read_pseudo_label_record(root), prefix)


def _find_record(root: Path) -> Path | None:
    """Return the folder with the record: this one, or the only folder of an archive."""
    if not root.is_dir() or has_pseudo_labels(root):
        return root if root.is_dir() else None
    inner = [folder for folder in root.iterdir() if has_pseudo_labels(folder)]
    return inner[0] if len(inner) == 1 else None


def list_present_images(folder: PseudoLabelFolder) -> list[PseudoLabelledImage]:
    """List the images of the record that nobody has removed since."""
    images = folder.root / IMAGES_FOLDER
    return [image for image in folder.record.images if (images / image.file).exists()]


def ingest_pseudo_images(
    config: Config,
    folder: PseudoLabelFolder,
    images: Sequence[PseudoLabelledImage],
    *,
    thumbnails: ThumbnailStore,
    staging: Path,
) -> Iterator[tuple[IngestedImage | None, str]]:
    """Check images and their pseudo-labels as those of a source.

    Args:
        config: `data.on_defect` and `compute` are used.
        folder: The folder.
        images: Some of its images.
        thumbnails: Gets their thumbnails.
        staging: The folder for repaired images.

    Yields:
        Each image; or None, and why it cannot be used.
    """
    record = folder.record
    points = record.keypoints.count if record.keypoints else 0
    required = TaskRequirements(record.task, len(record.names), points)
    policy: DefectPolicy = "fix" if config.data.on_defect == "fix" else "quarantine"
    settings = IngestSettings(record.task, required, policy, (folder.root,))
    pending = (
        PendingImage(_read_annotated(folder, image), staging / f"pseudo-{number}")
        for number, image in enumerate(images)
    )
    samples = [folder.root / IMAGES_FOLDER / image.file for image in images[:1]]
    with ingest_pending_images(
        config.compute, pending, settings, samples=samples, total=len(images)
    ) as ingested:
        results = thumbnails.store_thumbnails(ingested)
    yield from map(_judge_result, images, results)


def _read_annotated(folder: PseudoLabelFolder, image: PseudoLabelledImage) -> AnnotatedImage:
    """Return an image with its pseudo-labels, or with why they cannot be used."""
    labels, fault = EMPTY_LABELS, "its labels have no object any more"
    try:
        text = (folder.root / LABELS_FOLDER / image.label_file).read_text(encoding="utf-8")
        labels = parse_labels(text, folder.record.task)
    except (OSError, ValueError) as error:
        fault = f"its labels cannot be read ({error})"
    return AnnotatedImage(
        folder.root / IMAGES_FOLDER / image.file,
        folder.prefix + image.source,
        "train",
        _convert_labels(labels),
        normalized=True,
        fault="" if len(labels) else fault,
    )


def _convert_labels(labels: ImageLabels) -> RawObjects:
    return RawObjects(
        labels.classes,
        xywhn_to_xyxy(labels.boxes, 1, 1),
        tuple(f"line {number}" for number in range(1, len(labels) + 1)),
        tuple((outline,) for outline in labels.outlines),
        tuple(labels.keypoints),
    )


def _judge_result(image: PseudoLabelledImage, result: IngestResult) -> tuple[IngestedImage | None, str]:
    """Return an image, or why it cannot be used: an object that was dropped would be taught as background."""
    ingested, findings = result
    missing = [each for each in findings if each.verdict == "dropped-object" and each.kind != "duplicate"]
    if ingested is None or missing:
        refused = [each.reason for each in findings if each.verdict == "quarantined"]
        return None, next(iter([*refused, *(each.reason for each in missing)]), "unusable")
    if ingested.sha256 != image.sha256:
        return None, "not the image that got these labels"
    return ingested._replace(pseudo=True), ""


def describe_edits(folder: PseudoLabelFolder) -> Iterator[str]:
    """Yield sentences about what people changed in the folder since a model labelled it."""
    edited = sum(_is_edited(folder, image) for image in list_present_images(folder))
    if edited:
        yield f"{format_count(edited, 'pseudo-label file was', 'pseudo-label files were')} changed by hand"
    images = folder.root / IMAGES_FOLDER
    known = {image.file for image in folder.record.images}
    added = sum(path.relative_to(images).as_posix() not in known for path in list_images(images))
    if added:
        yield (
            f"{format_count(added, 'image')} of data.unlabelled_source left out: added by hand, and not in "
            f"its {PSEUDO_LABELS_FILE}"
        )


def _is_edited(folder: PseudoLabelFolder, image: PseudoLabelledImage) -> bool:
    file = folder.root / LABELS_FOLDER / image.label_file
    return not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != image.labels_sha256
