"""Everything that decides the result of a training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.yolo.job import BaseWeights


class Teacher(NamedTuple):
    """The checkpoint of finetune.distill_model: its path, and its SHA-256."""

    path: Path
    sha256: str


class TrainingInputs(NamedTuple):
    """Everything that decides the result of a training, and the run key."""

    prepared: Manifest
    augmented: AugmentationRecords
    base: BaseWeights
    teacher: Teacher | None
    key: str
