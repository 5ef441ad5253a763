"""The schema of params.yaml: one class per conf group, every range checked, no I/O.

Composing (Hydra) and typing (this module) are apart on purpose: a schema inside Hydra's defaults list
breaks DVC's own composition. `parse` is applied to what was composed, before any work starts.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]


class ConfigError(ValueError):
    """Say in one sentence which key is wrong and what it may be."""


class Group(BaseModel):
    """A conf group: unknown keys are refused, values are neither coerced nor changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Split(Group):
    """Relative weights of the three splits; they need not add up to one."""

    train: Positive
    val: Positive
    test: Positive


class Data(Group):
    """Where images come from, and how they are divided."""

    format: Literal["demo", "shapes", "yolo", "coco", "voc"]
    source: str | None
    split: Split
    keep_split: bool
    images: Count | None
    pixels: Annotated[int, Field(ge=64, le=4096)] | None
    samples: CountOrZero

    @model_validator(mode="after")
    def _drawn_or_read(self) -> Data:
        drawn = self.format in {"demo", "shapes"}
        if drawn and (self.images is None or self.pixels is None):
            raise ValueError(f"data.images and data.pixels must be numbers where data.format={self.format}")
        if drawn and self.source is not None:
            raise ValueError(f"data.source must be null where data.format={self.format}, which is drawn")
        if not drawn and not self.source:
            raise ValueError(f"data.source must name a folder where data.format={self.format}")
        return self


class Offline(Group):
    """Copies drawn before the training; each transform with its range, applied with `probability`."""

    multiplier: Annotated[int, Field(ge=1, le=100)]
    balance: Share
    probability: Share
    rotate: Annotated[float, Field(ge=0, le=180)]
    fliplr: Share
    flipud: Share
    brightness: Share
    contrast: Share
    blur: Annotated[float, Field(ge=0, le=10)]
    noise: Share
    scale: Annotated[float, Field(ge=0, lt=1)]
    crop: Annotated[float, Field(ge=0, lt=1)]
    visible: Share
    workers: CountOrZero


class Online(Group):
    """Ultralytics' augmentation while training, under its own names."""

    hsv_h: Share
    hsv_s: Share
    hsv_v: Share
    degrees: Annotated[float, Field(ge=0, le=180)]
    translate: Share
    scale: NotNegative | list[float]
    shear: Annotated[float, Field(ge=0, le=90)]
    perspective: Annotated[float, Field(ge=0, le=0.001)]
    flipud: Share
    fliplr: Share
    bgr: Share
    mosaic: Share
    close_mosaic: CountOrZero
    mixup: Share
    cutmix: Share
    copy_paste: Share
    copy_paste_mode: Literal["flip", "mixup"]
    auto_augment: Literal["randaugment", "autoaugment", "augmix"] | None
    erasing: Share


class Augment(Group):
    """Offline copies and online transforms."""

    offline: Offline
    online: Online


class Model(Group):
    """Which base weights a fine-tuning starts from."""

    name: str
    architecture: Annotated[str, Field(pattern=r"^[\w./-]+\.yaml$")]
    weights: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    folder: str | None


class Gradual(Group):
    """How layer groups are unfrozen, from the head down."""

    trigger: Literal["schedule", "plateau"]
    every: Count
    stall: Count
    groups: Annotated[int, Field(ge=2, le=20)]
    decay: Annotated[float, Field(gt=0, le=1)]


class Finetune(Group):
    """The strategy, and every Ultralytics training argument under its own name."""

    strategy: Literal["full", "head", "gradual", "scratch"]
    precision: Literal["auto", "fp32", "bf16"]
    gradual: Gradual
    epochs: Count
    time: Positive | None
    patience: CountOrZero
    batch: Count
    imgsz: Annotated[int, Field(ge=32, le=8192)]
    save_period: int
    cache: bool | Literal["ram", "disk"]
    device: str | int | list[int] | None
    workers: CountOrZero
    cls_remap: bool
    optimizer: Literal["auto", "SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp"]
    verbose: bool
    deterministic: bool
    single_cls: bool
    rect: bool
    cos_lr: bool
    amp: bool | Literal["fp16", "bf16", "fp32"]
    fraction: Annotated[float, Field(gt=0, le=1)]
    freeze: CountOrZero | list[int | str] | None
    multi_scale: Share
    compile: bool | str
    channels_last: bool | None
    overlap_mask: bool
    mask_ratio: Count
    dropout: Share
    iou: Share
    max_det: Count
    lr0: Annotated[float, Field(gt=0, le=1)] | None
    lrf: Annotated[float, Field(gt=0, le=1)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Share
    warmup_epochs: NotNegative
    warmup_momentum: Annotated[float, Field(ge=0, lt=1)]
    warmup_bias_lr: Share
    distill_model: str | None
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
    dlam: NotNegative
    nbs: Count

    @model_validator(mode="after")
    def _possible(self) -> Finetune:
        if self.optimizer == "auto" and self.lr0 is not None:
            raise ValueError(
                "finetune.optimizer=auto chooses its own learning rate and ignores finetune.lr0: "
                "set finetune.lr0=null, or name an optimizer such as AdamW or SGD"
            )
        if self.optimizer != "auto" and self.lr0 is None:
            raise ValueError(f"finetune.lr0 must be a number where finetune.optimizer={self.optimizer}")
        if self.strategy == "head" and not self.freeze:
            raise ValueError("finetune.freeze must name the frozen layers where finetune.strategy=head")
        if self.strategy in {"gradual", "scratch"} and self.freeze:
            raise ValueError(f"finetune.freeze must be null where finetune.strategy={self.strategy}")
        return self


class Evaluate(Group):
    """How the test split is measured."""

    conf: Share
    iou: Share
    max_det: Count
    batch: Count
    bootstrap: Annotated[int, Field(ge=0, le=100_000)]
    worst: CountOrZero


class Tracking(Group):
    """Where MLflow keeps the runs."""

    uri: str
    experiment: Annotated[str, Field(min_length=1)]
    run_name: str | None
    tags: dict[str, str]
    system_metrics: bool
    timeout: Positive


class Config(Group):
    """One iteration."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    data: Data
    augment: Augment
    model: Model
    finetune: Finetune
    evaluate: Evaluate
    tracking: Tracking

    @model_validator(mode="after")
    def _batch_fits(self) -> Config:
        if self.finetune.imgsz % 32:
            raise ValueError(f"finetune.imgsz must be a multiple of 32, not {self.finetune.imgsz}")
        return self


def parse(values: dict[str, Any]) -> Config:
    """Check composed values and give them types.

    Args:
        values: What was composed, as plain dictionaries and lists.

    Raises:
        ConfigError: One sentence that names the key and the allowed values.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    problems = [_problem(item) for item in error.errors(include_url=False)]
    rest = len(set(problems)) - 1
    return problems[0] + (f" (and {rest} more)" if rest > 0 else "")


def _problem(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"{key} is no known key"
    if item["type"] == "missing":
        return f"{key} is missing"
    return f"{key}={item['input']!r} is not allowed: {message[0].lower()}{message[1:]}"
