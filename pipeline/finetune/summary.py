"""A training told to people: the name of its run, and what it came to in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.core.tasks import Task
from pipeline.finetune.overfitting import OverfittingVerdict

_HEADLINES: Final[dict[Task, tuple[str, ...]]] = {
    "detect": ("mAP50-95", "mAP50"),
    "obb": ("mAP50-95", "mAP50"),
    "segment": ("mask/mAP50-95", "mask/mAP50", "mAP50-95"),
    "pose": ("pose/mAP50-95", "pose/mAP50", "mAP50-95"),
    "classify": ("top1", "top5"),
}
"""What is said of an epoch, the task's own figure first."""


def run_name(strategy: str, base: str, *, lr0: float | None, key: str) -> str:
    """Name a run so that a person tells it from others: full-foundation-lr1e-3-3f2a1c."""
    return f"{strategy}-{base}-lr{_rate(lr0)}-{key[:6]}"


def _rate(lr0: float | None) -> str:
    """Write a learning rate short, and with enough digits that two of a sweep differ: 1.5e-3."""
    if lr0 is None or lr0 >= 0.01:
        return "auto" if lr0 is None else f"{lr0:g}"
    digits, exponent = f"{lr0:e}".split("e")
    return f"{float(digits):g}e{int(exponent)}"


def summary(
    rows: list[dict[str, float]], best_epoch: int, overfitting: OverfittingVerdict, *, task: Task
) -> str:
    """Say what a training came to.

    Args:
        rows: Its epochs, as `core.curves` names them.
        best_epoch: From 1.
        overfitting: The verdict.
        task: What was learnt.
    """
    return (
        f"val {_headline(rows[best_epoch - 1], task)} in epoch {best_epoch} of {len(rows)}; "
        f"overfitting {overfitting.verdict} (gap {overfitting.gap:.3f}); "
        f"{rows[-1]['seconds']:.0f} seconds of training"
    )


def _headline(row: Mapping[str, float], task: Task) -> str:
    return ", ".join(f"{name} {row[f'metrics/{name}']:.3f}" for name in _HEADLINES[task])
