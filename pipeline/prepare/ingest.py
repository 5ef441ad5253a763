"""Take images in: read or drawn, checked, and held until it is known which split each goes to."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.annotations import RawObjects
from pipeline.core.findings import NOTED, AnnotationNote, Finding, FindingVerdict, OnDefect
from pipeline.core.tasks import Task
from pipeline.prepare.annotations import check as annotations_check
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.annotations.convert import convert, scaled
from pipeline.prepare.images import appearance, check
from pipeline.prepare.images.appearance import UNKNOWN, ImageAppearance
from pipeline.prepare.images.cache import CheckedImageCache
from pipeline.prepare.images.check import CheckedImage
from pipeline.prepare.images.decode import UnusableImageError
from pipeline.runtime.workers import ParallelExecutor
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.types import AnnotatedImage
from pipeline.storage.fingerprint import FileStamp


class IngestedImage(NamedTuple):
    """One image that can be used.

    Attributes:
        source: Where it came from, relative to the source folder.
        split: Where the source puts it, if it says.
        held: The file it is kept in until it is placed, where it is not the source's file as it is.
        suffix: Of the file it will be.
        sha256: Of its bytes.
        size: Width and height in pixels.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        outlines: n outlines (k, 2) in pixels (segment), or four corners each (obb).
        keypoints: n arrays (points, 3) in pixels (pose).
        look: How bright and sharp it is.
        original: The file of the source, as it was when it was read, where it goes on as it is.
        thumbnail: Which of `Thumbnails` is its own, once it was put there.
    """

    source: str
    split: str | None
    held: Path
    suffix: str
    sha256: str
    size: tuple[int, int]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]
    outlines: tuple[NDArray[np.float64], ...] = ()
    keypoints: tuple[NDArray[np.float64], ...] = ()
    look: ImageAppearance = UNKNOWN
    original: FileStamp | None = None
    thumbnail: int | None = None


class IngestSettings(NamedTuple):
    """What images are checked for.

    Attributes:
        found: The task that the annotations serve.
        wanted: The task, the number of classes and of key points that they must have.
        on_defect: fix, or quarantine images with any finding; refuse is up to the caller.
        root: The source folder.
        examine: `images.examine`, or one that remembers.
    """

    found: Task
    wanted: TaskRequirements
    on_defect: OnDefect
    root: Path
    examine: Callable[[Path, Callable[[bytes], bytes] | None], CheckedImage] = check.examine


IngestResult = tuple[IngestedImage | None, list[Finding]]


def take(entry: AnnotatedImage, terms: IngestSettings, *, hold: Path) -> IngestResult:
    """Check one image of a source and its annotation, and hold a copy.

    Args:
        entry: The image and what its annotation says.
        terms: What it is checked for.
        hold: The file to keep it in.
    """
    judged, defects = judge(entry, terms)
    return judged and _held(*judged, (entry.source, entry.split), hold), defects


def judge(
    entry: AnnotatedImage, terms: IngestSettings
) -> tuple[tuple[CheckedImage, CheckedObjects] | None, list[Finding]]:
    """Check one image of a source and its annotation; nothing is written.

    Returns:
        The image and its objects, None where it is quarantined, and what was found.
    """
    try:
        if entry.fault:
            raise UnusableImageError("unreadable-label", entry.fault)
        image = terms.examine(entry.path, entry.load)
        checked = _objects(entry, image.size, terms)
    except UnusableImageError as error:
        return None, [Finding(entry.source, "quarantined", str(error), error.kind)]
    notes = [*entry.notes, *checked.notes, *image.notes, *_leading_out(entry, terms.root)]
    if notes and terms.on_defect == "quarantine":
        return None, [Finding(entry.source, "quarantined", note.reason, note.kind) for note in notes]
    return (image, checked), [Finding(entry.source, _verdict(n), n.reason, n.kind) for n in notes]


def drawn(index: int, task: Task, *, draw: Callable[[int], DrawnImage], hold: Path) -> IngestResult:
    """Draw one image, and hold it as a JPEG; its labels are exact, so nothing is checked."""
    drawing = draw(index)
    data = cv2.imencode(".jpg", drawing.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    height, width = drawing.image.shape[:2]
    outlines = tuple((polygon.astype(np.float64),) for polygon in drawing.polygons)
    raw = RawObjects(drawing.classes, drawing.boxes.astype(np.float64), (), outlines)
    shapes = tuple(part for (part,) in convert(raw, "segment", task).outlines)
    keypoints = tuple(points.astype(np.float64) for points in drawing.keypoints)
    checked = CheckedObjects(raw.classes, raw.boxes, (), shapes, keypoints)
    name = f"drawn_{index:05d}.jpg"
    digest = hashlib.sha256(data).hexdigest()
    image = CheckedImage(data, ".jpg", (width, height), look=appearance.measure(drawing.image), sha256=digest)
    return _held(image, checked, (name, None), hold), []


def _objects(entry: AnnotatedImage, size: tuple[int, int], terms: IngestSettings) -> CheckedObjects:
    """Check the objects against the image as it is displayed.

    Raises:
        Unusable: The annotation was made for another size, or none of its objects can be used: to train on
            such an image as if nothing were on it would teach the wrong thing.
    """
    width, height = size
    if entry.size and entry.size != size:
        turned = " (turned by an EXIF orientation?)" if entry.size == (height, width) else ""
        stated = f"{entry.size[0]} x {entry.size[1]}"
        reason = f"annotated at {stated} pixels, but the image is displayed{turned} at {width} x {height}"
        raise UnusableImageError("size-mismatch", reason)
    raw = scaled(entry.raw, size) if entry.scaled else entry.raw
    checked = annotations_check.check(convert(raw, terms.found, terms.wanted.task), terms.wanted, size=size)
    dropped = [note.reason for note in (*entry.notes, *checked.notes) if note.dropped]
    if dropped and not len(checked.classes):
        rest = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise UnusableImageError("nothing-left", f"none of its objects can be used: {dropped[0]}{rest}")
    if terms.wanted.task == "classify" and len(checked.classes) != 1:
        raise UnusableImageError(
            "several-classes", f"{len(checked.classes)} classes, but an image must have one"
        )
    return checked


def _leading_out(entry: AnnotatedImage, root: Path) -> list[AnnotationNote]:
    """Name a link out of the source: what is behind it was copied, and changes there go unnoticed."""
    if not str(entry.path).startswith(f"{root}{os.sep}") or not any(
        map(os.path.islink, _below(entry.path, root))
    ):
        return []
    if (real := entry.path.resolve()).is_relative_to(root.resolve()):
        return []
    return [AnnotationNote(False, f"a link that leads out of the source, to {real.parent}", "linked-file")]


def _below(path: Path, root: Path) -> Iterator[str]:
    """Yield a path and the folders between it and the root: links among them may lead out."""
    place, end = str(path), len(str(root))
    while len(place) > end:
        yield place
        place = os.path.dirname(place)  # noqa: PTH120 - 100,000 images, and pathlib takes ten times as long


def _verdict(note: AnnotationNote) -> FindingVerdict:
    if note.dropped:
        return "dropped-object"
    return "noted" if note.kind in NOTED else "fixed"


def _held(
    image: CheckedImage, checked: CheckedObjects, origin: tuple[str, str | None], hold: Path
) -> IngestedImage:
    if not image.original:
        hold.write_bytes(image.data)
    return IngestedImage(
        *origin,
        held=hold,
        suffix=image.suffix,
        sha256=image.sha256,
        size=image.size,
        classes=checked.classes,
        boxes=checked.boxes,
        outlines=checked.outlines,
        keypoints=checked.keypoints,
        look=image.look,
        original=image.original,
    )


class PendingImage(NamedTuple):
    """An image of the source, and the file that a mended copy is kept in."""

    entry: AnnotatedImage
    hold: Path


class RemoteImage(NamedTuple):
    """An image on its way to a node, and what is known of its file."""

    arrival: PendingImage
    known: CheckedImage | None


def here(
    todo: Iterable[PendingImage],
    terms: IngestSettings,
    memory: CheckedImageCache,
    *,
    each: ParallelExecutor,
    total: int,
) -> Iterator[IngestResult]:
    """Take images in by threads of this machine, which ask the memory themselves.

    Args:
        todo: The images.
        terms: What they are checked for.
        memory: What is known of their files.
        each: Deals out to this machine.
        total: Their number.
    """
    return each(partial(_take, terms._replace(examine=memory.examine)), todo, total=total, what="prepare")


def elsewhere(
    todo: Iterable[PendingImage],
    terms: IngestSettings,
    memory: CheckedImageCache,
    *,
    each: ParallelExecutor,
    total: int,
) -> Iterator[IngestResult]:
    """Take images in on the nodes of a cluster.

    Args:
        todo: The images.
        terms: What they are checked for.
        memory: What is known of their files.
        each: Deals out to the cluster.
        total: Their number.
    """
    asked = time.time_ns()
    carried = (
        RemoteImage(arrival, None if arrival.entry.load else memory.recall(arrival.entry.path))
        for arrival in todo
    )
    for outcome, found in each(partial(_take_carried, terms), carried, total=total, what="prepare"):
        if found:
            memory.remember(found, asked=asked)
        yield outcome


def _take(terms: IngestSettings, arrival: PendingImage) -> IngestResult:
    return take(arrival.entry, terms, hold=arrival.hold)


def _take_carried(terms: IngestSettings, carried: RemoteImage) -> tuple[IngestResult, CheckedImage | None]:
    """Take an image in; return what its file turned out to be, too, where it goes on as it is."""
    found: list[CheckedImage] = []

    def examine(path: Path, load: Callable[[bytes], bytes] | None = None) -> CheckedImage:
        if carried.known:
            return carried.known
        found.append(check.examine(path, load))
        return found[0]

    outcome = _take(terms._replace(examine=examine), carried.arrival)
    return outcome, found[0] if found and found[0].original else None
