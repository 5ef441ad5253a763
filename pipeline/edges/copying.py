"""Draw augmented copies of images into a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2

from pipeline.core import copies, geometry, labels, pasting, recipes
from pipeline.core.copies import Draft, Rules
from pipeline.core.labels import Labels
from pipeline.core.manifest import Item
from pipeline.core.pasting import Donor, Scene
from pipeline.core.records import Copy, Pasted
from pipeline.edges import dataset, transforms
from pipeline.edges.dealing import Each
from pipeline.edges.transforms import Floats, Pixels


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
    draft = copies.draft(marked, extent, rules=rules, source=job.item.file, number=job.number)
    return Drawn(transforms.apply(image, draft.recipe, draft.seed), draft, pasted)


def _read(item: Item, source: Path, rules: Rules) -> tuple[Pixels, Labels]:
    image = transforms.read(source / "images" / item.file)
    return image, dataset.read_labels(source / "labels" / item.label, rules.task)


def _paste(
    job: Job, image: Pixels, marked: Labels, *, source: Path, rules: Rules
) -> tuple[Pixels, Labels, tuple[Pasted, ...]]:
    """Lay objects of other train images over an image, as many as are drawn for this copy and find room."""
    assert rules.pasting
    seed = recipes.copy_seed(rules.seed, job.item.file, job.number)
    extent = image.shape[1], image.shape[0]
    made = _Pasting(image, pasting.scene(marked, extent))
    wanted = pasting.wanted(rules.pasting, seed)
    for donor, own in pasting.candidates(rules.pasting, seed):
        if len(made.pasted) == wanted:
            break
        made = _put(made, donor, own, source=source, rules=rules) or made
    return made.image, pasting.labels(made.scene, extent) if made.pasted else marked, made.pasted


def _put(into: _Pasting, donor: Donor, seed: int, *, source: Path, rules: Rules) -> _Pasting | None:
    """Paste one object; None where it is cut by its image's edge, or finds no room."""
    item = donor.item
    marked = dataset.read_labels(source / "labels" / item.label, rules.task)
    sizes = (item.width, item.height), (into.image.shape[1], into.image.shape[0])
    ring: Floats = marked.outlines[donor.number] * sizes[0]
    way = pasting.way(ring, sizes, rules.ranges, seed) if pasting.uncut(ring, sizes[0]) else None
    if way is None:
        return None
    scene = pasting.put(into.scene, item.classes[donor.number], geometry.points(ring, way))
    if scene is None:
        return None
    done = Pasted(item.file, donor.number, tuple(way[:2].ravel().tolist()))
    image = transforms.paste(into.image, transforms.read(source / "images" / item.file), ring, way)
    return _Pasting(image, scene, (*into.pasted, done))


def _write(job: Job, drawn: Drawn, target: Path, rules: Rules) -> Copy:
    encoded = transforms.encode(drawn.image, PurePosixPath(job.file).suffix)
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
    suffix = path.suffix if path.suffix.lower() in transforms.JPEG else ".png"
    return str(path.with_name(f"{path.stem}{mark}{number}{suffix}"))
