"""Choose how many epochs a training has by the number of its images (finetune.epochs=auto).

What counts is the number of optimizer steps, and more images need more of them, though not in proportion:
the steps grow with the square root of the steps in an epoch, so that the epochs fall with it. The factor
gives 30 epochs for 510 images in batches of 16, as bccd has them with one copy of each image, and no training
is shorter. docs/decisions/strategies.md has what other lengths give on three small sets; the root is an
assumption.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

EPOCHS_OF_ONE_STEP: Final = 170.0
"""The epochs where an epoch is one optimizer step; more steps divide it by their square root."""
SCRATCH_FACTOR: Final = 3.0
"""Random weights need about three times the steps (He et al., Rethinking ImageNet pre-training, 2019)."""
MIN_EPOCHS: Final = 30
MAX_EPOCHS: Final = 300
USUAL_BATCH: Final = 16
"""Images in a batch where a GPU's memory decides it, which is not known before the training."""


class EpochChoice(NamedTuple):
    """How many epochs a training has.

    Attributes:
        epochs: Their number.
        reason: Why, a part of a sentence.
    """

    epochs: int
    reason: str


def choose_epochs(
    images: int, *, batch: float, nbs: int, share: float = 1.0, from_scratch: bool = False
) -> EpochChoice:
    """Choose the number of epochs, for all images `MIN_EPOCHS` to `MAX_EPOCHS`.

    Args:
        images: Train images and their copies, at least 1; each once, whatever finetune.repeat_rare repeats.
        batch: finetune.batch; below 1 where a GPU's memory decides it.
        nbs: finetune.nbs, the images of an optimizer step.
        share: The share (0..1, above 0) of the train images that these are: see `compute_used_share`. A
            smaller share trains for more epochs, with as many steps as all images would have.
        from_scratch: Whether the training starts from random weights.
    """
    size = int(batch) if batch >= 1 else USUAL_BATCH
    per_step = max(1, round(nbs / size))
    own, steps = (
        max(1.0, math.ceil(round(count, 6) / size) / per_step) for count in (images, images / share)
    )
    factor = SCRATCH_FACTOR if from_scratch else 1.0
    wanted = factor * EPOCHS_OF_ONE_STEP / math.sqrt(steps)
    whole = min(max(round(wanted), MIN_EPOCHS), MAX_EPOCHS)
    epochs = max(1, round(whole * steps / own))
    total = round(epochs * own)
    limit = f", the {'fewest' if whole == MIN_EPOCHS else 'most'}" if whole != round(wanted) else ""
    return EpochChoice(epochs, f"about {total:,} optimizer steps on {images:,} images{limit}")


def compute_used_share(images: int, *, fraction: float, pseudo: int) -> float:
    """Return the share of all train images that is used.

    Args:
        images: Train images that are used, at least 1; copies are of all of them alike.
        fraction: Of the labelled ones (0..1, above 0): data.fraction.
        pseudo: How many of the images have pseudo-labels, of which all are used.
    """
    return images / ((images - pseudo) / fraction + pseudo) if pseudo else fraction
