"""Replace values that are auto in the configuration by those that the data decide."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.schema import Config, ConfigError, parse_config
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.finetune.automatic.epoch_count import EpochChoice, choose_epochs, compute_used_share
from pipeline.finetune.automatic.image_size import (
    ImageSizeChoice,
    choose_classify_size,
    choose_image_size,
)
from pipeline.finetune.automatic.object_sizes import measure_object_shares


class AutomaticValue(NamedTuple):
    """A value of conf/finetune that was auto.

    Attributes:
        key: imgsz, epochs or lr0.
        value: What it was replaced by.
        reason: Why, a part of a sentence.
    """

    key: str
    value: int | float
    reason: str

    def __str__(self) -> str:
        return f"{self.value:g} ({self.reason})"


def resolve_data_values(
    config: Config, prepared: Manifest, copies: AugmentationRecords, *, folder: Path
) -> list[AutomaticValue]:
    """Choose those of imgsz and epochs that are auto; the same data give the same values.

    With finetune.time the clock decides how many epochs there are, and none is chosen.

    Args:
        config: The configuration.
        prepared: The manifest of the prepared dataset; its train images decide.
        copies: The augmented train images.
        folder: The prepared dataset, whose labels are read.
    """
    found = []
    if config.finetune.imgsz == AUTOMATIC:
        size = resolve_image_size(prepared, folder)
        found.append(AutomaticValue("imgsz", size.pixels, size.reason))
    if config.finetune.epochs == AUTOMATIC and config.finetune.time is None:
        epochs = _resolve_epochs(config, prepared, copies)
        found.append(AutomaticValue("epochs", epochs.epochs, epochs.reason))
    return found


def resolve_image_size(prepared: Manifest, folder: Path) -> ImageSizeChoice:
    """Choose finetune.imgsz for the train images of a prepared dataset.

    Args:
        prepared: Its manifest, with at least one train image.
        folder: Its folder, whose labels are read.
    """
    images = prepared.in_split("train")
    sides = np.array([max(image.width, image.height) for image in images], np.float64)
    if prepared.task == "classify":
        return choose_classify_size(sides)
    return choose_image_size(measure_object_shares(folder, prepared), sides)


def set_automatic_values(config: Config, values: Sequence[AutomaticValue]) -> Config:
    """Return the configuration with numbers in the place of auto, checked as one that a user writes.

    Raises:
        ConfigError: A number does not fit the other values.
    """
    if not values:
        return config
    plain = config.model_dump()
    plain["finetune"] |= {value.key: value.value for value in values}
    try:
        return parse_config(plain)
    except ConfigError as error:
        chosen = " and ".join(f"finetune.{value.key}=auto gives {value.value:g}" for value in values)
        raise ConfigError(f"{chosen}, but {error}") from None


def _resolve_epochs(config: Config, prepared: Manifest, copies: AugmentationRecords) -> EpochChoice:
    finetune = config.finetune
    train = prepared.in_split("train")
    pseudo = sum(item.pseudo for item in train)
    return choose_epochs(
        len(train) + copies.count,
        batch=finetune.batch,
        nbs=finetune.nbs,
        share=compute_used_share(len(train), fraction=config.data.fraction, pseudo=pseudo),
        from_scratch=finetune.strategy == "scratch",
    )
