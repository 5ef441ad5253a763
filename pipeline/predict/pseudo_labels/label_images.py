"""Label images by a teacher, and write those that get labels into a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.dataset.coco_rows import round_detections
from pipeline.dataset.labels import ImageLabels, format_labels
from pipeline.dataset.pseudo_labels import IMAGES_FOLDER, LABELS_FOLDER, PseudoLabelledImage
from pipeline.predict.list_files import SourceFile
from pipeline.predict.pseudo_labels.convert_detections import convert_class, convert_detections
from pipeline.predict.pseudo_labels.judge_image import (
    LABELLED,
    UNCERTAIN,
    judge_class,
    judge_detections,
)
from pipeline.predict.pseudo_labels.measure_val import TeacherThresholds
from pipeline.predict.pseudo_labels.teacher import PseudoLabelTeacher
from pipeline.prepare.annotations.check import TaskRequirements
from pipeline.prepare.file_names import assign_file_stems
from pipeline.prepare.ingest import IngestedImage, IngestSettings, ingest_image
from pipeline.runtime.progress import Progress
from pipeline.runtime.thread_pool import map_in_threads
from pipeline.source.types import AnnotatedImage
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image

UNREADABLE: Final = "unreadable"
EQUAL: Final = "equal to another one"
_NOTHING: Final = RawObjects(np.zeros(0, np.int64), np.zeros((0, 4)), ())


@dataclass
class LabelledImages:
    """What became of the images.

    Args:
        images: Those that got labels.
        counts: Number of images by outcome.
        objects: Number of labels by class index.
        unreadable: Name of each image that cannot be read, and why.
    """

    images: list[PseudoLabelledImage] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    objects: Counter[int] = field(default_factory=Counter)
    unreadable: list[tuple[str, str]] = field(default_factory=list)


class _Pending(NamedTuple):
    """An image that was checked as `prepare` does: its contents there, or why it cannot be used."""

    file: SourceFile
    stem: str
    ingested: IngestedImage | None
    reason: str

    @property
    def path(self) -> Path:
        """The file with the contents that `prepare` would use."""
        assert self.ingested is not None
        original = self.ingested.original
        return Path(original.path) if original else self.ingested.staged_file


class ImageLabeller:
    """Labels images by a teacher.

    Args:
        teacher: The teacher.
        thresholds: Which of its detections become labels.
        folder: Where images and labels are written.
    """

    def __init__(self, teacher: PseudoLabelTeacher, thresholds: TeacherThresholds, folder: Path) -> None:
        self._teacher, self._thresholds, self._folder = teacher, thresholds, folder
        self._result = LabelledImages()
        self._hashes: set[str] = set()

    def label(self, files: Sequence[SourceFile]) -> LabelledImages:
        """Predict on images, and write those that get labels.

        Args:
            files: Images, no videos.

        Raises:
            UserError: An image was changed while it was read, or the memory is not enough.
        """
        for name in (IMAGES_FOLDER, LABELS_FOLDER, "staging"):
            (self._folder / name).mkdir()
        task, settings = self._teacher.manifest.task, self._teacher.settings
        with LoadedModel(self._teacher.weights, task=task, settings=settings) as model:
            pending = self._select_usable(self._check(files))
            while chunk := list(islice(pending, settings["batch"])):
                found = model.predict([read_prepared_image(each.path) for each in chunk])
                for each, result in zip(chunk, found, strict=True):
                    self._write(each, result)
        shutil.rmtree(self._folder / "staging")
        return self._result

    def _check(self, files: Sequence[SourceFile]) -> Iterator[_Pending]:
        """Check images as `prepare` does, in threads."""
        settings = IngestSettings("detect", TaskRequirements("detect", 0, 0), "fix", ())
        stems = assign_file_stems([file.name for file in files])
        work = ((number, file, stem) for number, (file, stem) in enumerate(zip(files, stems, strict=True)))
        progress = Progress("pseudo-label", len(files), unit="images")
        check = partial(_check_image, settings, self._folder / "staging")
        return map_in_threads(check, work, progress=progress)

    def _select_usable(self, pending: Iterator[_Pending]) -> Iterator[_Pending]:
        for each in pending:
            if each.ingested is None:
                self._result.counts[UNREADABLE] += 1
                self._result.unreadable.append((each.file.name, each.reason))
            elif each.ingested.sha256 in self._hashes:
                self._result.counts[EQUAL] += 1
            else:
                self._hashes.add(each.ingested.sha256)
                yield each

    def _write(self, pending: _Pending, found: Any) -> None:
        outcome, labels = self._judge(pending, found)
        self._result.counts[outcome] += 1
        if labels is None or pending.ingested is None:
            return
        file = f"{pending.stem}{pending.ingested.suffix}"
        _copy(pending.path, self._folder / IMAGES_FOLDER / file, pending.ingested.sha256)
        text = format_labels(labels, self._teacher.manifest.task).encode()
        digest = hashlib.sha256(text).hexdigest()
        image = PseudoLabelledImage(file, pending.ingested.sha256, digest, pending.file.name)
        (self._folder / LABELS_FOLDER / image.label_file).write_bytes(text)
        self._result.images.append(image)
        self._result.objects.update(labels.classes.tolist())

    def _judge(self, pending: _Pending, found: Any) -> tuple[str, ImageLabels | None]:
        """Return what becomes of an image, and its labels if it gets any."""
        assert pending.ingested is not None
        classes, task = self._thresholds.classes, self._teacher.manifest.task
        recall, max_det = self._thresholds.rule.recall, self._teacher.settings["max_det"]
        if not isinstance(found, Detections):
            cls = judge_class(found, classes)
            return (UNCERTAIN, None) if cls is None else (LABELLED, convert_class(cls))
        found = round_detections(found)
        judged = judge_detections(found, classes, recall=recall, max_det=max_det)
        if judged.outcome != LABELLED:
            return judged.outcome, None
        labels = convert_detections(found.select(judged.kept), task, pending.ingested.size)
        return (UNCERTAIN, None) if labels is None else (LABELLED, labels)


def _check_image(settings: IngestSettings, staging: Path, work: tuple[int, SourceFile, str]) -> _Pending:
    number, file, stem = work
    annotated = AnnotatedImage(file.path, file.name, None, _NOTHING)
    ingested, findings = ingest_image(annotated, settings, staged_file=staging / str(number))
    reason = next((finding.reason for finding in findings if finding.verdict == "quarantined"), "")
    return _Pending(file, stem, ingested, reason)


def _copy(source: Path, target: Path, sha256: str) -> None:
    """Copy an image, and check that it is the one that was labelled."""
    shutil.copyfile(source, target)
    if hash_file(target) != sha256:
        raise UserError(f"{source} was changed while it was labelled: leave it unchanged, and run again")
