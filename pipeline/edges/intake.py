"""Take images in: read or drawn, checked, and held until it is known which split each goes to."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core import boxes, labels
from pipeline.core.boxes import Checked, Note
from pipeline.core.defects import Defect
from pipeline.core.manifest import Item
from pipeline.edges import images
from pipeline.edges.datasets.source import Annotated
from pipeline.edges.drawing.drawing import Drawing
from pipeline.edges.images import Unusable, Usable


class Taken(NamedTuple):
    """One image that can be used.

    Attributes:
        source: Where it came from, relative to the source folder.
        split: Where the source puts it, if it says.
        held: The file it is kept in until it is placed.
        suffix: Of the file it will be.
        sha256: Of its bytes.
        size: Width and height in pixels.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
    """

    source: str
    split: str | None
    held: Path
    suffix: str
    sha256: str
    size: tuple[int, int]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]


Outcome = tuple[Taken | None, list[Defect]]


def each(todo: Sequence[Callable[[], Outcome]]) -> Iterator[Outcome]:
    """Do the work on several cores, with a progress bar; outcomes come in the order of `todo`.

    Threads suffice: decoding, hashing and numpy release the interpreter's lock. No orphan stays if killed.
    """
    pool = ThreadPoolExecutor(_cores(), thread_name_prefix="prepare")
    try:
        outcomes = pool.map(lambda work: work(), todo)
        yield from tqdm(outcomes, total=len(todo), desc="prepare", unit="image", disable=None)
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C and on an error, what waits is not begun


def take(entry: Annotated, *, known: int, hold: Path) -> Outcome:
    """Check one image of a source and its annotation, and hold a copy.

    Args:
        entry: The image and what its annotation says.
        known: Number of classes.
        hold: The file to keep it in.
    """
    try:
        if entry.fault:
            raise Unusable(entry.fault)
        image = images.examine(entry.path)
        checked = _objects(entry, image, known)
    except Unusable as error:
        return None, [Defect(entry.source, "quarantined", str(error))]
    notes = [*entry.notes, *checked.notes, *([Note(False, image.note)] if image.note else [])]
    defects = [Defect(entry.source, "dropped-object" if n.dropped else "fixed", n.reason) for n in notes]
    return _held(image, checked, (entry.source, entry.split), hold), defects


def drawn(index: int, *, draw: Callable[[int], Drawing], hold: Path) -> Outcome:
    """Draw one image, and hold it as a JPEG."""
    drawing = draw(index)
    data = cv2.imencode(".jpg", drawing.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    height, width = drawing.image.shape[:2]
    checked = Checked(drawing.classes, drawing.boxes.astype(np.float64), ())
    name = f"drawn_{index:05d}.jpg"
    return _held(Usable(data, ".jpg", (width, height), ""), checked, (name, None), hold), []


def place(folder: Path, taken: Taken, *, split: str, stem: str) -> Item:
    """Move an image that was taken in to its split, and write its label file.

    Args:
        folder: The prepared dataset, laid out.
        taken: The image; it is held on the same file system.
        split: train, val or test.
        stem: What it is called, unique in the dataset.
    """
    file = f"{split}/{stem}{taken.suffix}"
    shares = labels.from_xyxy(taken.boxes, *taken.size)
    text = labels.render(labels.Labels(taken.classes, shares)).encode()
    item = Item(
        file=file,
        sha256=taken.sha256,
        labels_sha256=hashlib.sha256(text).hexdigest(),
        width=taken.size[0],
        height=taken.size[1],
        classes=tuple(taken.classes.tolist()),
        source=taken.source,
    )
    taken.held.rename(folder / "images" / file)
    (folder / "labels" / item.label).write_bytes(text)
    return item


def _objects(entry: Annotated, image: Usable, known: int) -> Checked:
    """Check the objects against the image as it is displayed.

    Raises:
        Unusable: The annotation was made for another size, or none of its objects can be used: to train on
            such an image as if nothing were on it would teach the wrong thing.
    """
    width, height = image.size
    if entry.size and entry.size != image.size:
        turned = " (turned by an EXIF orientation?)" if entry.size == (height, width) else ""
        stated = f"{entry.size[0]} x {entry.size[1]}"
        raise Unusable(
            f"annotated at {stated} pixels, but the image is displayed{turned} at {width} x {height}"
        )
    scale = np.array([width, height, width, height], np.float64) if entry.scaled else 1.0
    raw = entry.raw._replace(boxes=entry.raw.boxes * scale)
    checked = boxes.check(raw, size=image.size, known=known)
    dropped = [note.reason for note in (*entry.notes, *checked.notes) if note.dropped]
    if dropped and not len(checked.classes):
        rest = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise Unusable(f"none of its objects can be used: {dropped[0]}{rest}")
    return checked


def _held(image: Usable, checked: Checked, origin: tuple[str, str | None], hold: Path) -> Taken:
    hold.write_bytes(image.data)
    digest = hashlib.sha256(image.data).hexdigest()
    return Taken(*origin, hold, image.suffix, digest, image.size, checked.classes, checked.boxes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
