"""Draw augmented copies of images, several at once, into a folder.

Threads, not processes: decoding, warping, noise and encoding all happen inside OpenCV, outside the
interpreter's lock; nothing is pickled, and a killed stage leaves no orphan that goes on writing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2

from pipeline.core import copies, labels
from pipeline.core.copies import Rules
from pipeline.core.manifest import Item
from pipeline.core.records import Copy
from pipeline.edges import transforms


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


def draw(todo: Sequence[Job], *, source: Path, target: Path, rules: Rules, workers: int) -> Iterator[Copy]:
    """Draw copies and yield their records in the order of `todo`; what is drawn does not depend on `workers`.

    Args:
        todo: The copies.
        source: The prepared dataset.
        target: The augmented dataset, laid out.
        rules: What holds for every copy.
        workers: Threads; 0: one per core that this process may use.

    Raises:
        Refused: A source image cannot be read.
    """
    cv2.setNumThreads(1)  # copies run side by side, not the rows of one
    pool = ThreadPoolExecutor(workers or _cores(), thread_name_prefix="augment")
    try:
        yield from pool.map(lambda job: _draw(job, source, target, rules), todo)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C and on an error, what waits is not begun


def _draw(job: Job, source: Path, target: Path, rules: Rules) -> Copy:
    image = transforms.read(source / "images" / job.item.file)
    marked = labels.parse((source / "labels" / job.item.label).read_text(encoding="utf-8"))
    height, width = image.shape[:2]
    draft = copies.draft(marked, (width, height), rules=rules, source=job.item.file, number=job.number)
    drawn = transforms.apply(image, draft.recipe, draft.seed)
    encoded = transforms.encode(drawn, PurePosixPath(job.file).suffix)
    text = labels.render(draft.labels).encode()
    copy = Copy(
        file=job.file,
        source=job.item.file,
        seed=draft.seed,
        transforms=draft.recipe.applied,
        classes=tuple(draft.labels.classes.tolist()),
        dropped=draft.dropped,
        sha256=hashlib.sha256(encoded).hexdigest(),
        labels_sha256=hashlib.sha256(text).hexdigest(),
    )
    (target / "images" / copy.file).write_bytes(encoded)
    (target / "labels" / copy.label).write_bytes(text)
    return copy


def _name(file: str, mark: str, number: int) -> str:
    path = PurePosixPath(file)
    suffix = path.suffix if path.suffix.lower() in transforms.JPEG else ".png"
    return str(path.with_name(f"{path.stem}{mark}{number}{suffix}"))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
