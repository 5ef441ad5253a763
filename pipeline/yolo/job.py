"""The input and the result of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pipeline.config.devices import list_devices
from pipeline.core.tasks import Keypoints, Task
from pipeline.yolo.unfreezing import LayerDecay, UnfreezingSchedule

ULTRALYTICS_FOLDER: Final = "ultralytics"
"""In the folder of a training: what Ultralytics writes, and the images that finetune.cache=disk decodes."""
MetricsRow = dict[str, float]
"""The figures of one epoch: epoch (from 1), seconds, train/*, val/*, metrics/*, lr/*."""

FastPaths = Literal[False, True, "gpu"]
"""The fast paths of a training. False: none, it runs as `yolo train` does. True: the tested ones, which are
those on a CPU. gpu: also those on a GPU, which have not run on one yet (docs/decisions/gpu.md)."""


@dataclass(frozen=True)
class BaseWeights:
    """The weights that a training starts from.

    Args:
        name: The name in the configuration, such as foundation.
        path: The checkpoint; None for random weights.
        sha256: Of the checkpoint; None for random weights.
        architecture: A model YAML of the training's task. A plain name of Ultralytics', such as yolo26n.yaml,
            is for random weights and for weights of another task; any other one is always built.
        architecture_sha256: Of a YAML of the user's; None for one that Ultralytics ships.
    """

    name: str
    path: Path | None
    sha256: str | None
    architecture: str
    architecture_sha256: str | None = None


@dataclass(frozen=True)
class EmaSettings:
    """The moving average of the weights, which is what is validated and saved; the defaults are Ultralytics'.

    After `n` optimizer steps an update keeps `decay * (1 - exp(-n / tau))` of the average.

    Args:
        decay: 0 (no average: the weights themselves) to below 1.
        tau: Optimizer steps, above 0. With fewer steps than that in all, hardly anything is averaged.
    """

    decay: float = 0.9999
    tau: float = 2000.0


@dataclass(frozen=True)
class TrainingJob:
    """One training.

    Args:
        arguments: Ultralytics' train arguments under their own names, seed included.
        base: The base weights.
        names: The class names by index.
        train: Folders of train images; their labels are in a folder `labels` next to `images`.
        val: The folder of val images.
        precision: auto, fp32 or bf16.
        gradual: How layers are unfrozen; None where all layers learn, or where `freeze` says which do not.
        folder: For checkpoints in progress, of this training only.
        head: Whether the backbone has to stay frozen (finetune.strategy=head).
        fast: Which fast paths to use.
        threads: CPU threads of torch; None for as many as there are free cores (finetune.threads=auto).
        nodes: How many machines train together (finetune.nodes).
        key: The run key; machines that train together compare it.
        layer_decay: Learning rates of deeper layers where `gradual` is None; None for equal rates.
        ema: The moving average of the weights.
        average: How many of the best epochs are averaged at the end; 0 averages none.
        freeze_bn: Whether the BatchNorm statistics of the backbone stay those of the base weights.
        distill_features: Whether the student learns the teacher's feature maps of backbone and neck.
        one_to_many: The weight of YOLO26's one-to-many head in the loss of the last epoch.
        sam: How far sharpness-aware steps look for worse weights (rho); 0 makes plain steps.
        val_every: Epochs from one validation to the next, at least 1.
        repeat_rare: The share of images below which a class is rare; its images are repeated. 0: none is.
        task: The task.
        keypoints: The key points of a pose; None for other tasks.
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
    fast: FastPaths = True
    val_every: int = 1
    repeat_rare: float = 0.0
    task: Task = "detect"
    keypoints: Keypoints | None = None
    threads: int | None = None
    nodes: int = 1
    key: str = ""
    layer_decay: LayerDecay | None = None
    ema: EmaSettings = EmaSettings()
    average: int = 0
    freeze_bn: bool = False
    sam: float = 0.0
    one_to_many: float = 0.1
    distill_features: bool = False

    @property
    def has_several_processes(self) -> bool:
        """Whether several devices or machines train together, each device with a process of its own."""
        return self.nodes > 1 or len(list_devices(self.arguments["device"])) > 1


def drop_unset_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Drop arguments that are None: Ultralytics chooses them. In auto_augment None means no augmentation."""
    return {key: value for key, value in arguments.items() if value is not None or key == "auto_augment"}


class WeightAverage(NamedTuple):
    """The mean of the weights of the best epochs, at the end of a training.

    Attributes:
        epochs: The epochs, from 1.
        figures: Of its validation: val/*, metrics/*.
        is_taken: Whether it is best.pt: its val metric is at least that of the best epoch.
        is_estimated: Whether its BatchNorm statistics are estimated anew over an epoch of train images; else
            they are the mean of those of the epochs. The better of both on val counts.
    """

    epochs: tuple[int, ...]
    figures: MetricsRow
    is_taken: bool
    is_estimated: bool

    @property
    def epoch_list(self) -> str:
        """The epochs as text: `3, 5, 6`."""
        return ", ".join(map(str, self.epochs))


class TrainingResult(NamedTuple):
    """A finished training.

    Args:
        weights: Checkpoint files by name: best, last, epochN.
        names: The class names by index.
        rows: The figures of each epoch.
        best_epoch: From 1; the best single epoch, also where best.pt is an average.
        effective: The settings that were used.
        average: Of the best epochs; None if there is none.
        trained_before: Whether an earlier session trained all epochs, so that this one only collected them.
    """

    weights: dict[str, bytes]
    names: tuple[str, ...]
    rows: list[MetricsRow]
    best_epoch: int
    effective: dict[str, Any]
    average: WeightAverage | None = None
    trained_before: bool = False

    @property
    def best_figures(self) -> MetricsRow:
        """The figures of best.pt."""
        if self.average and self.average.is_taken:
            return self.average.figures
        return self.rows[self.best_epoch - 1]
