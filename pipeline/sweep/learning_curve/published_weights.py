"""Tell whether weights that a learning curve starts from may have been trained on its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.model_names import model_name_for_task
from pipeline.core.tasks import TASKS
from pipeline.storage.base_weights import find_weights_origin


def remark_on_weights(first: Mapping[str, Any], task: str | None) -> list[str]:
    """Return a sentence for base weights, and for a teacher, that may have learned the images of the curve.

    Args:
        first: The configuration of the first point of the sweep.
        task: Of the images; None where no training told it.
    """
    model, finetune = first["model"], first["finetune"]
    base = None if finetune["strategy"] == "scratch" else model["weights"]
    for known in TASKS:
        base = model_name_for_task(base, known) if base and known == task else base
    return [
        *_remark(base, model["folder"], "small parts know the others through it"),
        *_remark(finetune["distill_model"], model["folder"], "it teaches small parts the others"),
    ]


def _remark(weights: str | None, folder: str | None, consequence: str) -> list[str]:
    origin = "published" if weights is None else find_weights_origin(weights, folder)
    if origin == "published":
        return []
    doubt = f"only its name says that {weights} is official: " if origin == "named" else ""
    return [f"{doubt}if {weights} was trained on these images, {consequence}, and the curve is too flat"]
