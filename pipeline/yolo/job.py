"""What a training is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pipeline.core.tasks import Keypoints, Task
from pipeline.yolo.schedules import UnfreezingSchedule

MetricsRow = dict[str, float]
"""One epoch: epoch (from 1), seconds, train/*, val/*, metrics/*, lr/*."""


@dataclass(frozen=True)
class BaseWeights:
    """The weights that a training starts from.

    Args:
        name: The name in the configuration, such as foundation.
        path: None for random weights.
        sha256: Of the file; None for random weights.
        architecture: A model YAML of the training's task, for random weights and for those of another task.
    """

    name: str
    path: Path | None
    sha256: str | None
    architecture: str


@dataclass(frozen=True)
class TrainingJob:
    """One training.

    Args:
        arguments: Ultralytics' train arguments under their own names, seed included.
        base: What to start from.
        names: The class names by index.
        train: Folders of train images; labels lie in `labels` beside `images`.
        val: The folder of val images.
        precision: auto, fp32 or bf16.
        fast: Whether to take the ways that `yolo train` does not have: all cores, nothing computed twice.
        gradual: How layers are unfrozen; None where they all learn, or `freeze` says which do not.
        folder: For checkpoints in progress; this iteration's own.
        head: Whether the backbone is meant to stay as it is.
        val_every: Epochs from one validation to the next, at least 1.
        task: What is learnt.
        keypoints: The points of a pose; None for other tasks.
    """

    arguments: Mapping[str, Any]
    base: BaseWeights
    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: Path
    precision: Literal["auto", "fp32", "bf16"]
    gradual: UnfreezingSchedule | None
    folder: Path
    head: bool = False
    fast: bool = True
    val_every: int = 1
    task: Task = "detect"
    keypoints: Keypoints | None = None


def given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Ultralytics is told: None leaves it a choice, but in auto_augment, where it means none."""
    return {key: value for key, value in arguments.items() if value is not None or key == "auto_augment"}


class TrainingResult(NamedTuple):
    """A finished training: checkpoint files (best, last, epochN), classes, curves, what was used."""

    weights: dict[str, bytes]
    names: tuple[str, ...]
    rows: list[MetricsRow]
    best_epoch: int
    effective: dict[str, Any]
