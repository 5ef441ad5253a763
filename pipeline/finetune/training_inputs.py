"""Everything that decides the result of a training."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.finetune.automatic.resolve_values import AutomaticValue
from pipeline.finetune.base_images import BaseImages
from pipeline.yolo.job import BaseWeights
from pipeline.yolo.rate_test.choose_rate import RateTest


class Teacher(NamedTuple):
    """The checkpoint of finetune.distill_model: its path, and its SHA-256."""

    path: Path
    sha256: str


class TrainingInputs(NamedTuple):
    """Everything that decides the result of a training, and the run key.

    Attributes:
        prepared: The manifest of the prepared dataset.
        augmented: The augmented train images.
        base: The weights that the training starts from.
        teacher: The network that it learns from, too; None without one.
        key: The run key.
        automatic: The values of conf/finetune that are auto, as far as they are chosen.
        rate_test: The test by which lr0 was chosen; None where it is a number.
        base_images: What the base weights were trained on before; None: nothing, or only images of train
            and val.
    """

    prepared: Manifest
    augmented: AugmentationRecords
    base: BaseWeights
    teacher: Teacher | None
    key: str
    automatic: tuple[AutomaticValue, ...] = ()
    rate_test: RateTest | None = None
    base_images: BaseImages | None = None
