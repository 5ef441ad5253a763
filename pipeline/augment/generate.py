"""Draw augmented copies of images into a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2

from pipeline.augment import affine, copy_paste, plan_copy, transform_image
from pipeline.augment.copy_paste import DonorObject, PasteTarget
from pipeline.augment.parameters import copy_seed
from pipeline.augment.plan_copy import CopyRules, PlannedCopy
from pipeline.augment.transform_image import JPEG
from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.dataset import labels
from pipeline.dataset.augmentation_records import AugmentedImage, PastedObject
from pipeline.dataset.labels import ImageLabels
from pipeline.dataset.manifest import ImageRecord
from pipeline.dataset.prepared import read_labels
from pipeline.runtime.workers import ParallelExecutor


@dataclass(frozen=True)
class CopyJob:
    """One copy to draw.

    Args:
        item: The source image.
        number: Which copy of it, from 1.
        file: What the copy is called below images/, suffix included.
    """

    item: ImageRecord
    number: int
    file: str


class GeneratedImage(NamedTuple):
    """A copy in memory: its pixels, what was drawn for it, and what was pasted in before."""

    image: ImageArray
    draft: PlannedCopy
    pasted: tuple[PastedObject, ...]


class _Pasting(NamedTuple):
    """An image into which objects are pasted."""

    image: ImageArray
    scene: PasteTarget
    pasted: tuple[PastedObject, ...] = ()


def jobs(items: Sequence[ImageRecord], counts: Sequence[int], mark: str) -> list[CopyJob]:
    """List the copies to draw; a JPEG gives JPEGs, every other format PNGs, which lose nothing.

    Args:
        items: The source images.
        counts: How many copies each gets.
        mark: What stands between the source's stem and the copy's number.
    """
    return [
        CopyJob(item, number, _name(item.file, mark, number))
        for item, count in zip(items, counts, strict=True)
        for number in range(1, count + 1)
    ]


def draw(
    todo: Sequence[CopyJob], *, source: Path, target: Path, rules: CopyRules, each: ParallelExecutor
) -> Iterator[AugmentedImage]:
    """Draw copies and yield their records in the order of `todo`; what is drawn does not depend on `each`.

    Args:
        todo: The copies.
        source: The prepared dataset.
        target: The augmented dataset, laid out.
        rules: What holds for every copy.
        each: Deals the work out.

    Raises:
        Refused: A source image cannot be read.
    """
    return each(partial(_copy, source, target, rules), todo, total=len(todo), what="augment")


def _copy(source: Path, target: Path, rules: CopyRules, job: CopyJob) -> AugmentedImage:
    cv2.setNumThreads(1)  # copies run side by side, not the rows of one
    return _write(job, one(job, source, rules), target, rules)


def one(job: CopyJob, source: Path, rules: CopyRules) -> GeneratedImage:
    """Draw one copy in memory.

    Args:
        job: The copy.
        source: The prepared dataset.
        rules: What holds for every copy.

    Raises:
        Refused: A source image cannot be read.
    """
    image, marked = _read(job.item, source, rules)
    pasted: tuple[PastedObject, ...] = ()
    if rules.pasting:
        image, marked, pasted = _paste(job, image, marked, source=source, rules=rules)
    extent = image.shape[1], image.shape[0]
    draft = plan_copy.draft(marked, extent, rules=rules, source=job.item.file, number=job.number)
    return GeneratedImage(transform_image.apply(image, draft.recipe, draft.seed), draft, pasted)


def _read(item: ImageRecord, source: Path, rules: CopyRules) -> tuple[ImageArray, ImageLabels]:
    image = transform_image.read(source / "images" / item.file)
    return image, read_labels(source / "labels" / item.label, rules.task)


def _paste(
    job: CopyJob, image: ImageArray, marked: ImageLabels, *, source: Path, rules: CopyRules
) -> tuple[ImageArray, ImageLabels, tuple[PastedObject, ...]]:
    """Lay objects of other train images over an image, as many as are drawn for this copy and find room."""
    assert rules.pasting
    seed = copy_seed(rules.seed, job.item.file, job.number)
    extent = image.shape[1], image.shape[0]
    made = _Pasting(image, copy_paste.scene(marked, extent))
    wanted = copy_paste.wanted(rules.pasting, seed)
    for donor, own in copy_paste.candidates(rules.pasting, seed):
        if len(made.pasted) == wanted:
            break
        made = _put(made, donor, own, source=source, rules=rules) or made
    return made.image, copy_paste.labels(made.scene, extent) if made.pasted else marked, made.pasted


def _put(into: _Pasting, donor: DonorObject, seed: int, *, source: Path, rules: CopyRules) -> _Pasting | None:
    """Paste one object; None where it is cut by its image's edge, or finds no room."""
    item = donor.item
    marked = read_labels(source / "labels" / item.label, rules.task)
    sizes = (item.width, item.height), (into.image.shape[1], into.image.shape[0])
    ring: FloatArray = marked.outlines[donor.number] * sizes[0]
    way = copy_paste.way(ring, sizes, rules.ranges, seed) if copy_paste.uncut(ring, sizes[0]) else None
    if way is None:
        return None
    scene = copy_paste.put(into.scene, item.classes[donor.number], affine.points(ring, way))
    if scene is None:
        return None
    done = PastedObject(item.file, donor.number, tuple(way[:2].ravel().tolist()))
    image = transform_image.paste(into.image, transform_image.read(source / "images" / item.file), ring, way)
    return _Pasting(image, scene, (*into.pasted, done))


def _write(job: CopyJob, drawn: GeneratedImage, target: Path, rules: CopyRules) -> AugmentedImage:
    encoded = transform_image.encode(drawn.image, PurePosixPath(job.file).suffix)
    text = labels.render(drawn.draft.labels, rules.task).encode()
    copy = AugmentedImage(
        file=job.file,
        source=job.item.file,
        seed=drawn.draft.seed,
        transforms=drawn.draft.recipe.applied,
        classes=tuple(drawn.draft.labels.classes.tolist()),
        dropped=drawn.draft.dropped,
        sha256=hashlib.sha256(encoded).hexdigest(),
        labels_sha256=hashlib.sha256(text).hexdigest(),
        pasted=drawn.pasted,
    )
    (target / "images" / copy.file).write_bytes(encoded)
    (target / "labels" / copy.label).write_bytes(text)
    return copy


def _name(file: str, mark: str, number: int) -> str:
    path = PurePosixPath(file)
    suffix = path.suffix if path.suffix.lower() in JPEG else ".png"
    return str(path.with_name(f"{path.stem}{mark}{number}{suffix}"))
