"""Whether the trainings on a part of the images have as many optimizer steps as those on all of them.

A batch that is not full is a step of its own. So a small part that is trained on for more epochs, to see as
many images in all, has more steps. Where finetune.epochs is auto, the steps are equal by choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from pipeline.core.paths import PARAMS_FILE
from pipeline.sweep.experiments import read_committed_file
from pipeline.sweep.learning_curve.curve_size import CurveSize

MAX_MORE_STEPS: Final = 1.25
"""Trainings on a part may have so many times the steps of those on all images without a remark."""


def remark_on_steps(sizes: Sequence[CurveSize], project: Path) -> list[str]:
    """Return a sentence if the smallest part has more optimizer steps than all images, as fixed epochs give.

    Args:
        sizes: Ascending in their number of images.
        project: The project's folder.
    """
    if len(sizes) < 2:
        return []
    few, many = (_read_steps(size, project) for size in (sizes[0], sizes[-1]))
    if few is None or many is None or few <= MAX_MORE_STEPS * many:
        return []
    return [
        f"trainings on {sizes[0].images:,.0f} images have {few:,} optimizer steps, those on all {many:,}, "
        "since few images do not fill their batches: the curve may be flatter than it would be with as many "
        "steps; finetune.epochs=auto gives all trainings as many"
    ]


def count_steps(images: int, finetune: dict[str, Any], multiplier: float) -> int | None:
    """Count the batches of a training; None where its epochs or its batch are not fixed.

    Args:
        images: Train images without copies.
        finetune: Its configuration.
        multiplier: augment.offline.multiplier.
    """
    epochs, batch = finetune.get("epochs"), finetune.get("batch")
    if not isinstance(epochs, int) or not isinstance(batch, int) or batch < 1 or finetune.get("time"):
        return None
    return epochs * math.ceil(images * multiplier / batch)


def _read_steps(size: CurveSize, project: Path) -> int | None:
    text = read_committed_file(project, size.commits[0], PARAMS_FILE)
    if text is None or not size.counts:
        return None
    params = yaml.safe_load(text)
    return count_steps(size.counts[0], params["finetune"], params["augment"]["offline"]["multiplier"])
