"""What the trainings of a learning curve have beside their fraction: their own images, and as many steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pipeline.compose.stage import ParamValues

_EPOCH_KEYS: Final = (
    "finetune.epochs",
    "finetune.patience",
    "finetune.val_every",
    "finetune.warmup_epochs",
    "finetune.gradual.every",
    "finetune.gradual.stall",
    "augment.online.close_mosaic",
)
"""Keys that count epochs."""


def build_curve_overrides(values: ParamValues, repetition: int) -> tuple[str, ...]:
    """Return the overrides of a training on a part of the train images.

    Each repetition has images of its own, so that the spread between them is that of the choice of images,
    too. All trainings have as many steps, or see as many images in all, validate as often, and warm up as
    long: with equal epochs, fewer images would also mean a shorter training, and more labels would seem worth
    more than they are.

    Args:
        values: The configuration of the training, with its data.fraction.
        repetition: Which of the seeds it is, from 0.

    Returns:
        None for all images.
    """
    data, fraction = values["data"], float(values["data"]["fraction"])
    if fraction == 1:
        return ()
    images = f"data.fraction_seed={data['fraction_seed'] + repetition}"
    return (images, *_lengthen_epochs(values, 1 / fraction))


def _lengthen_epochs(values: ParamValues, times: float) -> Iterator[str]:
    """Yield the overrides that make a training longer by so many times; with a time limit there are none."""
    if values["finetune"]["time"] is not None:
        return
    needs_each_epoch = values["finetune"]["gradual"]["trigger"] == "plateau"
    for key in _EPOCH_KEYS:
        value = _get(values, key)
        is_fixed = needs_each_epoch and key == "finetune.val_every"
        if isinstance(value, int | float) and value > 0 and not is_fixed:
            longer = times * value
            yield f"{key}={round(longer) if isinstance(value, int) else round(longer, 6)}"


def _get(values: ParamValues, key: str) -> Any:
    found: Any = values
    for name in key.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
