"""Check before a training that the disk has space for its checkpoints and decoded images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.dataset.manifest import Manifest
from pipeline.storage.disk_space import require_space

MIN_CHECKPOINT_SHARE: Final = 2.0
"""Two generations of checkpoints have more than this many times the bytes of the base weights, often 12."""

MIN_EPOCH_SHARE: Final = 1.0
"""The same for the weights of each further epoch to be averaged: twice fp16, and base weights may be fp32."""

MIN_SAVED_SHARE: Final = 0.5
"""The same for each epoch that finetune.save_period keeps: fp16 once, and base weights may be fp32."""


def require_space_for_training(
    folder: Path,
    *,
    base: Path | None,
    prepared: Manifest,
    augmented: AugmentationRecords,
    finetune: FinetuneConfig,
) -> None:
    """Require space for what a new training will surely write.

    Args:
        folder: Of its checkpoints.
        base: The base weights; None for random ones.
        prepared: The images.
        augmented: Their copies, each of the size of its source.
        finetune: Says whether decoded images are stored, and the weights of how many epochs are.

    Raises:
        UserError: The disk has too little.
    """
    decoded = 0
    if finetune.cache == "disk":
        lengths = {image.file: 3 * image.width * image.height for image in prepared.items}
        used = (*prepared.in_split("train"), *prepared.in_split("val"))
        decoded = sum(lengths[image.file] for image in used)
        decoded += sum(lengths[copy.source] for copy in augmented.copies)
    epochs = min(finetune.average, finetune.epochs if isinstance(finetune.epochs, int) else finetune.average)
    shares = MIN_CHECKPOINT_SHARE + MIN_EPOCH_SHARE * max(0, epochs - 1)
    shares += MIN_SAVED_SHARE * _count_saved_epochs(finetune)
    checkpoints = shares * base.stat().st_size if base else 0.0
    what = "the checkpoints and the decoded images (finetune.cache=disk)" if decoded else "the checkpoints"
    require_space(folder, decoded + checkpoints, what=what)


def _count_saved_epochs(finetune: FinetuneConfig) -> int:
    """Count the epochs that finetune.save_period keeps at least, also if finetune.patience ends it early."""
    if finetune.save_period < 1:
        return 0
    planned = finetune.epochs if isinstance(finetune.epochs, int) and finetune.time is None else 1
    epochs = min(planned, finetune.patience or planned)
    return math.ceil(epochs / finetune.save_period)
