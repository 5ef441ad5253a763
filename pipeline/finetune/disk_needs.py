"""Check before a training that the disk has space for its checkpoints and decoded images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pipeline.dataset.manifest import Manifest
from pipeline.storage.disk_space import require_space

MIN_CHECKPOINT_SHARE: Final = 2.0
"""Two generations of checkpoints have more than this many times the bytes of the base weights, often 12."""


def require_space_for_training(
    folder: Path, *, base: Path | None, prepared: Manifest, cache: Any, fraction: float = 1.0
) -> None:
    """Require space for what a new training will surely write.

    Args:
        folder: Of its checkpoints.
        base: The base weights; None for random ones.
        prepared: The images.
        cache: finetune.cache; `disk` stores the decoded images.
        fraction: finetune.fraction of the train images.

    Raises:
        UserError: The disk has too little.
    """
    decoded = 0
    if cache == "disk":
        train, val = (
            sorted(3 * image.width * image.height for image in prepared.in_split(split))
            for split in ("train", "val")
        )
        decoded = sum(train[: max(1, round(len(train) * fraction))]) + sum(val)
    checkpoints = MIN_CHECKPOINT_SHARE * base.stat().st_size if base else 0.0
    what = "the checkpoints and the decoded images (finetune.cache=disk)" if decoded else "the checkpoints"
    require_space(folder, decoded + checkpoints, what=what)
