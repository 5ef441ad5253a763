"""Ingest images: check each image and its annotation, or draw it, before the dataset is split."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.annotations import RawObjects
from pipeline.core.findings import NOTED_KINDS, AnnotationNote, DefectPolicy, Finding, FindingVerdict
from pipeline.core.tasks import Task
from pipeline.prepare.annotations.boxes import CheckedObjects
from pipeline.prepare.annotations.check import TaskRequirements, check_objects
from pipeline.prepare.annotations.convert import convert_objects
from pipeline.prepare.images.appearance import UNKNOWN_APPEARANCE, ImageAppearance, measure_appearance
from pipeline.prepare.images.check import CheckedImage, check_image
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.stated_sizes import SizePolicy, resolve_stated_size
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.types import AnnotatedImage
from pipeline.storage.fingerprint import FileStamp


class IngestedImage(NamedTuple):
    """One usable image with its checked objects.

    Attributes:
        source: Its path, relative to the source folder.
        split: The split that the source puts it in; None where the source does not say.
        staged_file: The file with its repaired or drawn contents, until they are moved to their split; it
            exists only where `original` is None.
        suffix: The suffix of its file in the dataset.
        sha256: SHA-256 of its contents in the dataset.
        size: Width and height in pixels.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        outlines: n outlines (k, 2) in pixels (segment), or four corners each (obb).
        keypoints: n arrays (points, 3) in pixels (pose).
        appearance: Brightness, sharpness and thumbnail.
        original: The file of the source before it was read, where it is used unchanged; else None.
        thumbnail_row: The row of its thumbnail in the `ThumbnailStore`; None where it has none.
        pseudo: Whether a model made its labels.
    """

    source: str
    split: str | None
    staged_file: Path
    suffix: str
    sha256: str
    size: tuple[int, int]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]
    outlines: tuple[NDArray[np.float64], ...] = ()
    keypoints: tuple[NDArray[np.float64], ...] = ()
    appearance: ImageAppearance = UNKNOWN_APPEARANCE
    original: FileStamp | None = None
    thumbnail_row: int | None = None
    pseudo: bool = False


class IngestSettings(NamedTuple):
    """How images and annotations are checked.

    Attributes:
        source_task: The task of the annotations.
        required: The task of the dataset, and the number of classes and key points.
        on_defect: `quarantine` quarantines images with any finding; the caller handles `refuse`.
        roots: The source folders.
        check_file: `images.check.check_image`, or the same with a cache.
        sizes: What to do with annotations that state another size than their image has, as in data.sizes.
    """

    source_task: Task
    required: TaskRequirements
    on_defect: DefectPolicy
    roots: tuple[Path, ...]
    check_file: Callable[[Path, Callable[[bytes], bytes] | None], CheckedImage] = check_image
    sizes: SizePolicy = "refuse"


IngestResult = tuple[IngestedImage | None, list[Finding]]
"""An image, None where it is quarantined, and the findings."""


def ingest_image(annotated: AnnotatedImage, settings: IngestSettings, *, staged_file: Path) -> IngestResult:
    """Check one image and its annotation, and write its contents if they were repaired.

    Args:
        annotated: The image and its annotation.
        settings: How it is checked.
        staged_file: The file to write repaired contents to.
    """
    result, findings = check_annotated_image(annotated, settings)
    return result and _stage(*result, (annotated.source, annotated.split), staged_file), findings


def check_annotated_image(
    annotated: AnnotatedImage, settings: IngestSettings
) -> tuple[tuple[CheckedImage, CheckedObjects] | None, list[Finding]]:
    """Check one image and its annotation, without writing anything.

    Returns:
        The image and its objects, None where it is quarantined, and the findings.
    """
    source = annotated.source
    try:
        if annotated.fault:
            raise UnusableImageError("unreadable-label", annotated.fault)
        checked = settings.check_file(annotated.path, annotated.load)
        objects = _check_objects(annotated, checked.size, settings)
    except UnusableImageError as error:
        return None, [Finding(source, "quarantined", str(error), error.kind)]
    link_notes = _note_link_out_of_source(annotated.path, settings.roots)
    notes = [*annotated.notes, *objects.notes, *checked.notes, *link_notes]
    if notes and settings.on_defect == "quarantine":
        return None, [Finding(source, "quarantined", note.reason, note.kind) for note in notes]
    findings = [Finding(source, _choose_verdict(note), note.reason, note.kind) for note in notes]
    return (checked, objects), findings


def ingest_drawn_image(
    index: int, task: Task, *, draw: Callable[[int], DrawnImage], staged_file: Path
) -> IngestResult:
    """Draw one image and write it as a JPEG, without a check: the labels of a drawing are exact."""
    drawing = draw(index)
    data = cv2.imencode(".jpg", drawing.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    height, width = drawing.image.shape[:2]
    polygons = tuple((polygon.astype(np.float64),) for polygon in drawing.polygons)
    raw = RawObjects(drawing.classes, drawing.boxes.astype(np.float64), (), polygons)
    outlines = tuple(part for (part,) in convert_objects(raw, "segment", task).outlines)
    keypoints = tuple(points.astype(np.float64) for points in drawing.keypoints)
    objects = CheckedObjects(raw.classes, raw.boxes, (), outlines, keypoints)
    checked = CheckedImage(
        data,
        ".jpg",
        (width, height),
        appearance=measure_appearance(drawing.image),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return _stage(checked, objects, (f"drawn_{index:05d}.jpg", None), staged_file), []


def _check_objects(
    annotated: AnnotatedImage, size: tuple[int, int], settings: IngestSettings
) -> CheckedObjects:
    """Check the objects against the size of the image as it is displayed.

    Raises:
        UnusableImageError: The annotation was made for another size, or none of its objects can be used.
            Training must not see such an image as background.
    """
    raw = resolve_stated_size(annotated, size, settings.sizes)
    converted = convert_objects(raw, annotated.task or settings.source_task, settings.required.task)
    objects = check_objects(converted, settings.required, size=size)
    dropped = [note.reason for note in (*annotated.notes, *objects.notes) if note.dropped]
    if dropped and not len(objects.classes):
        rest = f" (and {len(dropped) - 1} more)" if len(dropped) > 1 else ""
        raise UnusableImageError("nothing-left", f"none of its objects can be used: {dropped[0]}{rest}")
    if settings.required.task == "classify" and len(objects.classes) != 1:
        raise UnusableImageError(
            "several-classes", f"{len(objects.classes)} classes, but an image must have one"
        )
    return objects


def _note_link_out_of_source(path: Path, roots: Sequence[Path]) -> list[AnnotationNote]:
    """Note a link to a file outside the source: it is copied, but later changes to it are not noticed."""
    root = next((root for root in roots if str(path).startswith(f"{root}{os.sep}")), None)
    if root is None or not any(map(os.path.islink, _iterate_path_and_parents(path, root))):
        return []
    if any((real := path.resolve()).is_relative_to(root.resolve()) for root in roots):
        return []
    return [AnnotationNote(False, f"a link that leads out of the source, to {real.parent}", "linked-file")]


def _iterate_path_and_parents(path: Path, root: Path) -> Iterator[str]:
    """Yield a path and the folders between it and the root: each may be a link."""
    current, root_length = str(path), len(str(root))
    while len(current) > root_length:
        yield current
        current = os.path.dirname(current)  # noqa: PTH120 - for 100,000 images pathlib takes ten times as long


def _choose_verdict(note: AnnotationNote) -> FindingVerdict:
    if note.dropped:
        return "dropped-object"
    return "noted" if note.kind in NOTED_KINDS else "fixed"


def _stage(
    checked: CheckedImage, objects: CheckedObjects, origin: tuple[str, str | None], staged_file: Path
) -> IngestedImage:
    """Join the checked file and objects; write contents that are not those of the source's file."""
    if not checked.original:
        staged_file.write_bytes(checked.data)
    return IngestedImage(
        *origin,
        staged_file=staged_file,
        suffix=checked.suffix,
        sha256=checked.sha256,
        size=checked.size,
        classes=objects.classes,
        boxes=objects.boxes,
        outlines=objects.outlines,
        keypoints=objects.keypoints,
        appearance=checked.appearance,
        original=checked.original,
    )
