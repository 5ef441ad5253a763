"""Schema of conf/finetune."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from pipeline.config.automatic import AUTOMATIC, Automatic
from pipeline.config.devices import list_devices
from pipeline.config.fields import (
    ConfigGroup,
    Count,
    CountOrZero,
    LearningRate,
    NotNegative,
    PixelCount,
    Positive,
    Share,
)

Device = Annotated[
    str,
    Field(
        pattern=r"^(cpu(,cpu)*|mps|cuda(:\d+)?|\d+(,\d+)*)$",
        description="text such as cpu, mps, cuda:0 or 0",
    ),
]
LayerIndex = Annotated[int, Field(ge=-1)]
"""Index of a GPU; for -1 Ultralytics chooses an idle one."""
BatchSize = Annotated[
    Count | Literal[-1] | Annotated[float, Field(gt=0, lt=1)],
    Field(
        description="a whole number, at least 1, or on a CUDA GPU -1 (as many images as fit in 60% of its "
        "memory) or a share of its memory such as 0.7"
    ),
]
"""Images in a batch; below 1, Ultralytics' AutoBatch measures how many fit."""

RESERVED_ARGUMENTS: Final = {
    "task": "data.task, or what the images' labels serve",
    "mode": "it is train",
    "model": "choose base weights by model=...",
    "data": "choose images by data=... and data.source",
    "project": "results are written where DVC expects them",
    "name": "results are written where DVC expects them; the run's name is tracking.run_name",
    "exist_ok": "results are written where DVC expects them",
    "resume": "run the same command again to resume a stopped training",
    "pretrained": "choose base weights by model=..., or none by finetune=scratch",
    "save": "weights are always saved",
    "val": "early stopping and best.pt need it; finetune.val_every makes it less frequent",
    "split": "a training is validated on val, and evaluate measures on test",
    "seed": "use seed, without a group: it is the seed of all stages",
    "plots": "they are in reports/training and reports/evaluation",
    "fraction": "use data.fraction, which takes images of all classes, each with its copies",
    "profile": "it exports to ONNX and TensorRT, which training does not need",
    "quantize": "it needs NVIDIA's ModelOpt",
    "cfg": "conf/ is the configuration",
}
"""Training arguments of Ultralytics that the pipeline sets itself, and what to use instead."""


class GradualConfig(ConfigGroup):
    """How layer groups are unfrozen, starting at the head."""

    trigger: Literal["schedule", "plateau"]
    every: Count
    stall: Count
    groups: Annotated[int, Field(ge=2, le=20)]
    decay: Annotated[float, Field(gt=0, le=1)]


SGD_KINDS: Final = frozenset({"SGD", "MuSGD"})
"""Optimizers that need about twenty times the learning rate of AdamW."""
AveragedEpochs = Annotated[
    Literal[0] | Annotated[int, Field(ge=2, le=100)],
    Field(description="0, or a number of epochs from 2 to 100"),
]


class EmaConfig(ConfigGroup):
    """The moving average of the weights."""

    decay: Annotated[float, Field(ge=0, lt=1)]
    tau: Positive


class FinetuneConfig(ConfigGroup):
    """The strategy, and the training arguments of Ultralytics with their own names."""

    strategy: Literal["full", "head", "gradual", "scratch"]
    precision: Literal["auto", "fp32", "bf16"]
    fast: bool | Literal["gpu"]
    threads: Count | Literal["auto"]
    val_every: Count
    repeat_rare: Share
    nodes: Annotated[int, Field(ge=1, le=1000)]
    gradual: GradualConfig
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    ema: EmaConfig
    average: AveragedEpochs
    freeze_bn: bool
    sam: Share
    one_to_many: Share
    epochs: Count | Automatic
    time: Positive | None
    patience: CountOrZero
    batch: BatchSize
    imgsz: PixelCount | Automatic
    save_period: Annotated[int, Field(ge=-1)]
    cache: bool | Literal["ram", "disk"]
    device: Device | LayerIndex | Annotated[list[LayerIndex | Literal["cpu"]], Field(min_length=1)] | None
    workers: CountOrZero
    cls_remap: bool
    optimizer: Literal["auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"]
    verbose: bool
    deterministic: bool
    single_cls: bool
    rect: bool
    cos_lr: bool
    amp: bool | Literal["fp16", "bf16", "fp32"]
    freeze: CountOrZero | Literal["backbone"] | list[int | str] | None
    multi_scale: Share
    compile: bool | Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
    channels_last: bool | None
    overlap_mask: bool
    mask_ratio: Count
    dropout: Share
    iou: Share
    max_det: Count
    lr0: LearningRate | Automatic | None
    lrf: LearningRate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Share
    warmup_epochs: NotNegative
    warmup_momentum: Annotated[float, Field(ge=0, lt=1)]
    warmup_bias_lr: Share
    distill_model: str | None
    distill_features: bool
    dis: NotNegative
    box: NotNegative
    cls: NotNegative
    cls_pw: Share
    dfl: NotNegative
    pose: NotNegative
    kobj: NotNegative
    rle: NotNegative
    angle: NotNegative
    dlog: NotNegative
    dgrad: NotNegative
    dlam: Share
    nbs: Count

    @model_validator(mode="after")
    def _check_combinations(self) -> FinetuneConfig:
        if self.optimizer == "auto" and self.lr0 is not None:
            raise ValueError(
                "finetune.optimizer=auto chooses its own learning rate and ignores finetune.lr0: "
                "set finetune.lr0=null, or name an optimizer such as AdamW or SGD"
            )
        if self.lr0 == AUTOMATIC and self.optimizer in SGD_KINDS:
            raise ValueError(
                "finetune.lr0=auto tests around the usual rates of AdamW, which are too low for "
                f"finetune.optimizer={self.optimizer}: set a number, such as Ultralytics' 0.01"
            )
        if self.optimizer != "auto" and self.lr0 is None:
            raise ValueError(
                f"finetune.lr0 must be a number or auto where finetune.optimizer={self.optimizer}"
            )
        if self.strategy == "head" and not self.freeze:
            raise ValueError("finetune.freeze must name the frozen layers where finetune.strategy=head")
        if self.strategy in {"gradual", "scratch"} and self.freeze:
            raise ValueError(f"finetune.freeze must be null where finetune.strategy={self.strategy}")
        if self.freeze_bn and self.strategy not in {"full", "gradual"}:
            why = "there are none to keep" if self.strategy == "scratch" else "frozen layers keep theirs"
            raise ValueError(
                f"finetune.freeze_bn must be false where finetune.strategy={self.strategy}: {why}"
            )
        if self.layer_decay != 1 and self.strategy not in {"full", "scratch"}:
            instead = "it has gradual.decay" if self.strategy == "gradual" else "its backbone is frozen"
            raise ValueError(
                f"finetune.layer_decay must be 1 where finetune.strategy={self.strategy}: {instead}"
            )
        return self

    @model_validator(mode="after")
    def _check_single_class(self) -> FinetuneConfig:
        for key in ("cls_pw", "repeat_rare"):
            if self.single_cls and getattr(self, key):
                raise ValueError(
                    f"finetune.{key}={getattr(self, key):g} weighs classes by how rare they are, and "
                    f"finetune.single_cls=true makes one of them: set finetune.{key}=0.0, or "
                    "finetune.single_cls=false"
                )
        return self

    @model_validator(mode="after")
    def _check_repeats(self) -> FinetuneConfig:
        if self.repeat_rare and self.rect:
            raise ValueError(
                f"finetune.repeat_rare={self.repeat_rare:g} draws the order of the images, and "
                "finetune.rect=true sorts them by their shapes: set finetune.rect=false, "
                "or finetune.repeat_rare=0.0"
            )
        return self

    @model_validator(mode="after")
    def _check_automatic_batch(self) -> FinetuneConfig:
        if self.batch < 1 and {"cpu", "mps"} & {*list_devices(self.device)}:
            raise ValueError(
                f"finetune.batch={self.batch} measures the memory of a CUDA GPU, and finetune.device="
                f"{self.device}: set finetune.batch to a number of images, such as 16"
            )
        return self

    @model_validator(mode="after")
    def _check_sharpness(self) -> FinetuneConfig:
        sam = f"finetune.sam={self.sam:g}"
        if self.sam and (self.batch < 1 or round(self.nbs / self.batch) > 1):
            raise ValueError(
                f"{sam} needs one batch for each optimizer step, but finetune.batch={self.batch} is smaller "
                f"than finetune.nbs={self.nbs}: set both to the same number"
            )
        if self.sam and (self.compile or self.distill_model):
            instead = "finetune.compile=false" if self.compile else "finetune.distill_model=null"
            raise ValueError(f"{sam} is only possible with {instead}")
        return self

    @model_validator(mode="after")
    def _check_teacher(self) -> FinetuneConfig:
        if self.distill_features and self.distill_model is None:
            raise ValueError(
                "finetune.distill_features=true has no teacher: set finetune.distill_model, or "
                "finetune.distill_features=false"
            )
        return self

    @model_validator(mode="after")
    def _check_several_devices(self) -> FinetuneConfig:
        devices = list_devices(self.device)
        count = self.nodes * max(1, len(devices))
        if count < 2:
            return self
        several = f"finetune.device={','.join(devices) or 'null'}"
        several += f" on finetune.nodes={self.nodes}" if self.nodes > 1 else ""
        if not _can_share(devices):
            raise ValueError(f"{several} must name different GPUs by their numbers, such as 0,1, or cpu,cpu")
        if self.batch < 1 or self.batch % count:
            raise ValueError(
                f"finetune.batch={self.batch} cannot be divided among the {count} processes of {several}: "
                f"set it to a multiple of {count}, such as {8 * count}"
            )
        if self.rect or self.time is not None:
            key = "rect=true" if self.rect else f"time={self.time}"
            instead = "rect=false" if self.rect else "time=null and finetune.epochs"
            raise ValueError(f"finetune.{key} is not possible with {several}: set {instead}")
        if self.lr0 == AUTOMATIC:
            raise ValueError(
                f"finetune.lr0=auto tests learning rates in one process, which {several} is not: "
                "set finetune.lr0 to a number"
            )
        if self.average or self.sam:
            key = f"average={self.average}" if self.average else f"sam={self.sam:g}"
            raise ValueError(f"finetune.{key} is not possible with {several}: set {key.partition('=')[0]}=0")
        if self.compile and self.strategy == "gradual":
            raise ValueError(f"finetune.compile must be false where {several} and finetune.strategy=gradual")
        return self

    @model_validator(mode="after")
    def _check_gradual_finishes(self) -> FinetuneConfig:
        steps = self.gradual
        if self.strategy != "gradual":
            return self
        last = (steps.groups - 1) * steps.every
        is_bounded = self.time is None and self.epochs != AUTOMATIC  # auto is checked as a number later
        if steps.trigger == "schedule" and is_bounded and last >= int(self.epochs):
            raise ValueError(
                f"finetune.epochs={self.epochs} ends before the last of finetune.gradual.groups="
                f"{steps.groups} is unfrozen after {last}: raise epochs, or lower gradual.every or groups"
            )
        if steps.trigger == "plateau" and self.val_every > 1:
            raise ValueError(
                f"finetune.val_every={self.val_every} skips epochs, but finetune.gradual.trigger=plateau "
                "needs the val mAP of every epoch: set val_every=1, or trigger=schedule"
            )
        name, wait = ("every", steps.every) if steps.trigger == "schedule" else ("stall", steps.stall)
        if 0 < self.patience <= wait:
            raise ValueError(
                f"finetune.patience={self.patience} may end it before finetune.gradual.{name}={wait} "
                "unfreezes anything: patience must be the larger of the two"
            )
        return self


def _can_share(devices: Sequence[str]) -> bool:
    """Tell whether each device can have a process of one training."""
    different_gpus = len({*devices}) == len(devices) and all(map(str.isdigit, devices))
    return len(devices) < 2 or set(devices) == {"cpu"} or different_gpus
