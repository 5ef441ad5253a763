"""Draw augmented copies of images into a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2

from pipeline.augment import affine, copy_paste, parameters, plan_copy, transform_image
from pipeline.augment.copy_paste import Donor, Scene
from pipeline.augment.plan_copy import Draft, Rules
from pipeline.augment.transform_image import Floats, Pixels
from pipeline.dataset import labels, prepared
from pipeline.dataset.augmentation_records import Copy, Pasted
from pipeline.dataset.labels import Labels
from pipeline.dataset.manifest import Item
from pipeline.runtime.workers import Each


@dataclass(frozen=True)
class Job:
    """One copy to draw.

    Args:
        item: The source image.
        number: Which copy of it, from 1.
        file: What the copy is called below images/, suffix included.
    """

    item: Item
    number: int
    file: str


class Drawn(NamedTuple):
    """A copy in memory: its pixels, what was drawn for it, and what was pasted in before."""

    image: Pixels
    draft: Draft
    pasted: tuple[Pasted, ...]


class _Pasting(NamedTuple):
    """An image into which objects are pasted."""

    image: Pixels
    scene: Scene
    pasted: tuple[Pasted, ...] = ()


def jobs(items: Sequence[Item], counts: Sequence[int], mark: str) -> list[Job]:
    """List the copies to draw; a JPEG gives JPEGs, every other format PNGs, which lose nothing.

    Args:
        items: The source images.
        counts: How many copies each gets.
        mark: What stands between the source's stem and the copy's number.
    """
    return [
        Job(item, number, _name(item.file, mark, number))
        for item, count in zip(items, counts, strict=True)
        for number in range(1, count + 1)
    ]


def draw(todo: Sequence[Job], *, source: Path, target: Path, rules: Rules, each: Each) -> Iterator[Copy]:
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


def _copy(source: Path, target: Path, rules: Rules, job: Job) -> Copy:
    cv2.setNumThreads(1)  # copies run side by side, not the rows of one
    return _write(job, one(job, source, rules), target, rules)


def one(job: Job, source: Path, rules: Rules) -> Drawn:
    """Draw one copy in memory.

    Args:
        job: The copy.
        source: The prepared dataset.
        rules: What holds for every copy.

    Raises:
        Refused: A source image cannot be read.
    """
    image, marked = _read(job.item, source, rules)
    pasted: tuple[Pasted, ...] = ()
    if rules.pasting:
        image, marked, pasted = _paste(job, image, marked, source=source, rules=rules)
    extent = image.shape[1], image.shape[0]
    draft = plan_copy.draft(marked, extent, rules=rules, source=job.item.file, number=job.number)
    return Drawn(transform_image.apply(image, draft.recipe, draft.seed), draft, pasted)


def _read(item: Item, source: Path, rules: Rules) -> tuple[Pixels, Labels]:
    image = transform_image.read(source / "images" / item.file)
    return image, prepared.read_labels(source / "labels" / item.label, rules.task)


def _paste(
    job: Job, image: Pixels, marked: Labels, *, source: Path, rules: Rules
) -> tuple[Pixels, Labels, tuple[Pasted, ...]]:
    """Lay objects of other train images over an image, as many as are drawn for this copy and find room."""
    assert rules.pasting
    seed = parameters.copy_seed(rules.seed, job.item.file, job.number)
    extent = image.shape[1], image.shape[0]
    made = _Pasting(image, copy_paste.scene(marked, extent))
    wanted = copy_paste.wanted(rules.pasting, seed)
    for donor, own in copy_paste.candidates(rules.pasting, seed):
        if len(made.pasted) == wanted:
            break
        made = _put(made, donor, own, source=source, rules=rules) or made
    return made.image, copy_paste.labels(made.scene, extent) if made.pasted else marked, made.pasted


def _put(into: _Pasting, donor: Donor, seed: int, *, source: Path, rules: Rules) -> _Pasting | None:
    """Paste one object; None where it is cut by its image's edge, or finds no room."""
    item = donor.item
    marked = prepared.read_labels(source / "labels" / item.label, rules.task)
    sizes = (item.width, item.height), (into.image.shape[1], into.image.shape[0])
    ring: Floats = marked.outlines[donor.number] * sizes[0]
    way = copy_paste.way(ring, sizes, rules.ranges, seed) if copy_paste.uncut(ring, sizes[0]) else None
    if way is None:
        return None
    scene = copy_paste.put(into.scene, item.classes[donor.number], affine.points(ring, way))
    if scene is None:
        return None
    done = Pasted(item.file, donor.number, tuple(way[:2].ravel().tolist()))
    image = transform_image.paste(into.image, transform_image.read(source / "images" / item.file), ring, way)
    return _Pasting(image, scene, (*into.pasted, done))


def _write(job: Job, drawn: Drawn, target: Path, rules: Rules) -> Copy:
    encoded = transform_image.encode(drawn.image, PurePosixPath(job.file).suffix)
    text = labels.render(drawn.draft.labels, rules.task).encode()
    copy = Copy(
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
    suffix = path.suffix if path.suffix.lower() in transform_image.JPEG else ".png"
    return str(path.with_name(f"{path.stem}{mark}{number}{suffix}"))
