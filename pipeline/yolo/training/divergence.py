"""Recognize a training that diverged: losses, or weights, that are not finite or too large to be stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError

LOSS_GROUPS: Final = ("train/", "val/")
"""Before the names of losses."""


class DivergedError(UserError):
    """The training diverged; the epochs before the last one are of use."""


def check_weights(model: Any, path: Path, key: str) -> None:
    """Check that all weights that a training starts from are finite numbers.

    Args:
        model: The loaded checkpoint.
        path: Of the checkpoint.
        key: The key of the configuration that names it, such as model.weights.

    Raises:
        UserError: Some are NaN or infinite.
    """
    damaged = find_overflow(model.state_dict())
    if damaged:
        raise UserError(
            f"{path} cannot be trained from: it has numbers in {damaged[0]}"
            f"{f' and {len(damaged) - 1} other tensors' if damaged[1:] else ''} that are not finite; "
            f"set {key} to other weights"
        )


def check_losses(epoch: int, figures: Mapping[str, float], *, fitness: float | None, precision: str) -> None:
    """Check that the losses of an epoch, and its fitness, are finite numbers.

    Args:
        epoch: From 1.
        figures: The losses, train/* and val/*; others are not checked.
        fitness: Of the validation; None without one.
        precision: Of the training.

    Raises:
        DivergedError: One is not.
    """
    found = [
        name for name, value in figures.items() if name.startswith(LOSS_GROUPS) and not _is_finite(value)
    ]
    if not found and (fitness is None or _is_finite(fitness)):
        return
    raise _build_error(epoch, f"{found[0] if found else 'the fitness'} is not a finite number", precision)


def check_stored_weights(epoch: int, weights: Mapping[str, torch.Tensor], *, precision: str) -> None:
    """Check that weights fitted into half precision, as they are stored in a checkpoint file.

    Args:
        epoch: From 1.
        weights: In half precision, where too large numbers are infinite.
        precision: Of the training.

    Raises:
        DivergedError: One did not fit.
    """
    if damaged := find_overflow(weights):
        reason = f"weights are above 65504 or no numbers, the first ones in {damaged[0]}"
        raise _build_error(epoch, reason, precision)


def find_overflow(weights: Mapping[str, Any]) -> list[str]:
    """Return the names of the tensors with numbers that are not finite."""
    return [name for name, tensor in weights.items() if not _is_finite(tensor)]


def describe_best_epoch(epoch: int, path: Path) -> str:
    """Say where the weights of the best epoch before the divergence are."""
    return f"the best epoch before is {epoch}, and its weights are {path}"


def _is_finite(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return not value.is_floating_point() or bool(value.isfinite().all())
    return math.isfinite(value)


def _build_error(epoch: int, reason: str, precision: str) -> DivergedError:
    smaller = "lower finetune.lr0 or raise finetune.warmup_epochs"
    exact = "" if precision == "fp32" else ", or set finetune.precision=fp32"
    return DivergedError(f"the training diverged in epoch {epoch} ({reason}): {smaller}{exact}")
