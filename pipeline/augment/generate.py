"""Generate augmented copies of images and write them with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2

from pipeline.augment.affine import transform_points
from pipeline.augment.copy_paste import (
    DonorObject,
    PasteTarget,
    add_object,
    build_paste_target,
    build_target_labels,
    draw_paste_count,
    draw_placement,
    is_inside_border,
    iterate_donors,
)
from pipeline.augment.image_files import JPEG_SUFFIXES, encode_image, read_image
from pipeline.augment.parameters import derive_copy_seed
from pipeline.augment.plan_copy import CopyRules, PlannedCopy, plan_copy
from pipeline.augment.transform_image import paste_object, transform_image
from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.dataset.augmentation_records import AugmentedImage, PastedObject
from pipeline.dataset.labels import ImageLabels, format_labels
from pipeline.dataset.manifest import ImageRecord
from pipeline.dataset.prepared import read_labels
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import ParallelExecutor


@dataclass(frozen=True)
class CopyJob:
    """One copy to generate.

    Args:
        item: The source image.
        number: Number of the copy of this source, from 1.
        file: Path of the copy below images/, suffix included.
    """

    item: ImageRecord
    number: int
    file: str


class GeneratedImage(NamedTuple):
    """A copy in memory: its pixels, its plan, and the objects that were pasted first."""

    image: ImageArray
    plan: PlannedCopy
    pasted: tuple[PastedObject, ...]


class _PasteState(NamedTuple):
    """An image, its objects, and what was pasted into it so far."""

    image: ImageArray
    target: PasteTarget
    pasted: tuple[PastedObject, ...] = ()


def list_copy_jobs(items: Sequence[ImageRecord], counts: Sequence[int], mark: str) -> list[CopyJob]:
    """List the copies to generate; a JPEG gives JPEGs, every other format gives lossless PNGs.

    Args:
        items: The source images.
        counts: Number of copies of each.
        mark: What is between the source's stem and the copy's number in the file name.
    """
    return [
        CopyJob(item, number, _build_file_name(item.file, mark, number))
        for item, count in zip(items, counts, strict=True)
        for number in range(1, count + 1)
    ]


def generate_copies(
    jobs: Sequence[CopyJob], *, source: Path, target: Path, rules: CopyRules, each: ParallelExecutor
) -> Iterator[AugmentedImage]:
    """Generate copies and yield their records in the order of `jobs`; the result does not depend on `each`.

    Args:
        jobs: The copies.
        source: The prepared dataset.
        target: The augmented dataset, with its folders.
        rules: Settings of every copy.
        each: Runs the work in parallel.

    Raises:
        UserError: A source image cannot be read.
    """
    progress = Progress("augment", len(jobs))
    return each(partial(_write_copy, source, target, rules), jobs, progress=progress)


def _write_copy(source: Path, target: Path, rules: CopyRules, job: CopyJob) -> AugmentedImage:
    cv2.setNumThreads(1)  # several copies run in parallel, so one copy needs no threads
    return _write(job, generate_copy(job, source, rules), target, rules)


def generate_copy(job: CopyJob, source: Path, rules: CopyRules) -> GeneratedImage:
    """Generate one copy in memory.

    Args:
        job: The copy.
        source: The prepared dataset.
        rules: Settings of every copy.

    Raises:
        UserError: A source image cannot be read.
    """
    image, labels = _read_image_and_labels(job.item, source, rules)
    pasted: tuple[PastedObject, ...] = ()
    if rules.pasting:
        image, labels, pasted = _paste_objects(job, image, labels, source=source, rules=rules)
    extent = image.shape[1], image.shape[0]
    plan = plan_copy(labels, extent, rules=rules, source=job.item.file, number=job.number)
    return GeneratedImage(transform_image(image, plan.parameters, plan.seed), plan, pasted)


def _read_image_and_labels(
    item: ImageRecord, source: Path, rules: CopyRules
) -> tuple[ImageArray, ImageLabels]:
    image = read_image(source / "images" / item.file)
    return image, read_labels(source / "labels" / item.label_file, rules.task)


def _paste_objects(
    job: CopyJob, image: ImageArray, labels: ImageLabels, *, source: Path, rules: CopyRules
) -> tuple[ImageArray, ImageLabels, tuple[PastedObject, ...]]:
    """Paste objects of other train images: as many as are drawn for this copy and find room."""
    assert rules.pasting
    seed = derive_copy_seed(rules.seed, job.item.file, job.number)
    extent = image.shape[1], image.shape[0]
    state = _PasteState(image, build_paste_target(labels, extent))
    count = draw_paste_count(rules.pasting, seed)
    for donor, donor_seed in iterate_donors(rules.pasting, seed):
        if len(state.pasted) == count:
            break
        state = _paste_donor(state, donor, donor_seed, source=source, rules=rules) or state
    return state.image, build_target_labels(state.target, extent) if state.pasted else labels, state.pasted


def _paste_donor(
    state: _PasteState, donor: DonorObject, seed: int, *, source: Path, rules: CopyRules
) -> _PasteState | None:
    """Paste one object; None if its own image's edge cuts it, or if there is no room."""
    item = donor.item
    labels = read_labels(source / "labels" / item.label_file, rules.task)
    sizes = (item.width, item.height), (state.image.shape[1], state.image.shape[0])
    outline: FloatArray = labels.outlines[donor.object_index] * sizes[0]
    if not is_inside_border(outline, sizes[0]):
        return None
    matrix = draw_placement(outline, sizes, rules.ranges, seed)
    if matrix is None:
        return None
    target = add_object(state.target, item.classes[donor.object_index], transform_points(outline, matrix))
    if target is None:
        return None
    record = PastedObject(item.file, donor.object_index, tuple(matrix[:2].ravel().tolist()))
    image = paste_object(state.image, read_image(source / "images" / item.file), outline, matrix)
    return _PasteState(image, target, (*state.pasted, record))


def _write(job: CopyJob, generated: GeneratedImage, target: Path, rules: CopyRules) -> AugmentedImage:
    plan = generated.plan
    encoded = encode_image(generated.image, PurePosixPath(job.file).suffix)
    text = format_labels(plan.labels, rules.task).encode()
    copy = AugmentedImage(
        file=job.file,
        source=job.item.file,
        seed=plan.seed,
        transforms=plan.parameters.applied,
        classes=tuple(plan.labels.classes.tolist()),
        dropped=plan.dropped,
        sha256=hashlib.sha256(encoded).hexdigest(),
        labels_sha256=hashlib.sha256(text).hexdigest(),
        pasted=generated.pasted,
    )
    (target / "images" / copy.file).write_bytes(encoded)
    (target / "labels" / copy.label_file).write_bytes(text)
    return copy


def _build_file_name(file: str, mark: str, number: int) -> str:
    path = PurePosixPath(file)
    suffix = path.suffix if path.suffix.lower() in JPEG_SUFFIXES else ".png"
    return str(path.with_name(f"{path.stem}{mark}{number}{suffix}"))
