"""The tables of keys that decide the val metric of a training: never, always, or under conditions.

Each key of the schema is in one of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from pipeline.config.automatic import AUTOMATIC, Automatic
from pipeline.config.devices import list_devices

UNUSED_KEYS: Final = (
    *("tracking.", "compute.", "registry.", "export.", "zero_shot.", "evaluate."),
    "augment.offline.workers",
    *("data.epochs", "data.imgsz", "data.samples"),
    *("model.sha256", "model.folder"),
    *("finetune.verbose", "finetune.save_period", "finetune.dlog", "finetune.dgrad", "finetune.dlam"),
)
"""Keys that decide no result on val: where runs are logged, who computes, what may be promoted or exported,
how test is scored, what is checked or shown, losses of tasks that this project has not, and values that count
only in the keys of conf/finetune that refer to them."""

ALWAYS_USED_KEYS: Final = (
    "seed",
    *(
        "data.format",
        "data.task",
        "data.source",
        "data.classes.",
        "data.on_defect",
        "data.split.",
        "data.keep_split",
    ),
    *(
        "data.group_by",
        "data.near_duplicates",
        "data.on_leak",
        "data.folds",
        "data.fraction",
        "data.unlabelled_source",
        "data.seed",
        "data.images",
        "data.pixels",
    ),
    *("augment.offline.multiplier", "augment.online.scale", "augment.online.flipud", "augment.online.fliplr"),
    "model.architecture",
    *("finetune.strategy", "finetune.precision", "finetune.fast", "finetune.threads", "finetune.val_every"),
    *(
        "finetune.time",
        "finetune.patience",
        "finetune.batch",
        "finetune.imgsz",
        "finetune.cache",
        "finetune.device",
        "finetune.nodes",
        "finetune.repeat_rare",
    ),
    *(
        "finetune.workers",
        "finetune.optimizer",
        "finetune.deterministic",
        "finetune.freeze",
    ),
    *("finetune.channels_last", "finetune.lr0", "finetune.momentum", "finetune.weight_decay", "finetune.nbs"),
    *("finetune.ema.decay", "finetune.average", "finetune.sam", "finetune.one_to_many"),
)
"""Keys that may decide a result beside any other values, if only by rounding or by the time it takes."""


class UseCondition(NamedTuple):
    """When a training uses some keys.

    Attributes:
        keys: The keys, or the start of their names with a dot at the end.
        decided_by: The keys that decide it.
        is_used: Whether their values, in this order, use the keys.
    """

    keys: tuple[str, ...]
    decided_by: tuple[str, ...]
    is_used: Callable[..., bool]


def _list_keys(group: str, names: str) -> tuple[str, ...]:
    return tuple(f"{group}.{name}" for name in names.split())


def _is_any_set(*values: Any) -> bool:
    return any(value not in {0, None} for value in values if not isinstance(value, list))


def _has_epochs(epochs: int | Automatic, hours: float | None) -> bool:
    """Tell whether a training has more epochs than the last one, which is never one of warm-up."""
    return epochs == AUTOMATIC or epochs > 1 or hours is not None


def _is_on_gpu(device: Any) -> bool:
    return not {"cpu", "mps"} & {*list_devices(device)}


def _is_task(*tasks: str) -> Callable[[Any], bool]:
    return lambda value: value in {"auto", *tasks}


_RANGES: Final = _list_keys("augment.offline", "rotate brightness contrast blur noise scale crop")
_MIXING: Final = _list_keys("augment.online", "mosaic mixup cutmix copy_paste")
_CUTTING: Final = _list_keys("augment.offline", "rotate scale crop copy_paste")
_OBJECT_TASKS: Final = ("detect", "segment", "obb", "pose")

USE_CONDITIONS: Final = (
    UseCondition(("data.fold",), ("data.folds",), lambda folds: folds is not None),
    UseCondition(
        ("data.fraction_seed",),
        ("data.fraction", "data.unlabelled_source"),
        lambda fraction, unlabelled: fraction != 1 or unlabelled is not None,
    ),
    UseCondition(("data.unlabelled_share",), ("data.unlabelled_source",), lambda source: source is not None),
    UseCondition(
        _list_keys("data", "unlabelled crowds predictions labels first_class sizes"),
        ("data.format",),
        lambda form: form not in {"demo", "shapes"},
    ),
    UseCondition(
        (*_RANGES, *_list_keys("augment.offline", "balance probability fliplr flipud copy_paste visible")),
        ("augment.offline.multiplier",),
        lambda multiplier: multiplier != 1,
    ),
    UseCondition(_RANGES, ("augment.offline.probability",), _is_any_set),
    UseCondition(("augment.offline.probability",), _RANGES, _is_any_set),
    UseCondition(("augment.offline.visible",), _CUTTING, _is_any_set),
    UseCondition(("augment.offline.visible",), ("data.task",), _is_task(*_OBJECT_TASKS)),
    UseCondition(("augment.offline.copy_paste",), ("data.task",), _is_task("segment")),
    UseCondition(("augment.online.close_mosaic",), _MIXING, _is_any_set),
    UseCondition(("augment.online.copy_paste_mode",), ("augment.online.copy_paste",), _is_any_set),
    UseCondition(
        _list_keys("augment.online", "copy_paste copy_paste_mode"), ("data.task",), _is_task("segment", "obb")
    ),
    UseCondition(
        _list_keys(
            "augment.online", "degrees translate shear perspective bgr mosaic close_mosaic mixup cutmix"
        ),
        ("data.task",),
        _is_task(*_OBJECT_TASKS),
    ),
    UseCondition(_list_keys("augment.online", "auto_augment erasing"), ("data.task",), _is_task("classify")),
    UseCondition(
        _list_keys("augment.online", "hsv_h hsv_s hsv_v"),
        ("data.task", "augment.online.auto_augment"),
        lambda task, policy: task != "classify" or policy is None,
    ),
    UseCondition(
        _list_keys("model", "name weights"), ("finetune.strategy",), lambda strategy: strategy != "scratch"
    ),
    UseCondition(("finetune.cls_remap",), ("finetune.strategy",), lambda strategy: strategy != "scratch"),
    UseCondition(
        _list_keys("finetune.gradual", "trigger every stall decay"),
        ("finetune.strategy",),
        lambda strategy: strategy == "gradual",
    ),
    UseCondition(
        ("finetune.gradual.groups",),
        ("finetune.strategy", "finetune.layer_decay"),
        lambda strategy, decay: strategy == "gradual" or (strategy != "head" and decay != 1),
    ),
    UseCondition(
        ("finetune.layer_decay",), ("finetune.strategy",), lambda strategy: strategy in {"full", "scratch"}
    ),
    UseCondition(
        ("finetune.freeze_bn",), ("finetune.strategy",), lambda strategy: strategy in {"full", "gradual"}
    ),
    UseCondition(("finetune.ema.tau",), ("finetune.ema.decay",), lambda decay: decay != 0),
    UseCondition(
        ("finetune.gradual.every",), ("finetune.gradual.trigger",), lambda trigger: trigger == "schedule"
    ),
    UseCondition(
        ("finetune.gradual.stall",), ("finetune.gradual.trigger",), lambda trigger: trigger == "plateau"
    ),
    UseCondition(("model.lr0.",), ("finetune.lr0",), lambda rate: rate == AUTOMATIC),
    *(
        UseCondition((f"model.lr0.{strategy}",), ("finetune.strategy",), partial(operator.eq, strategy))
        for strategy in ("full", "head", "gradual")
    ),
    UseCondition(("finetune.epochs",), ("finetune.time",), lambda hours: hours is None),
    UseCondition(
        ("finetune.lrf", "finetune.cos_lr", "finetune.warmup_epochs"),
        ("finetune.epochs", "finetune.time"),
        _has_epochs,
    ),
    UseCondition(("finetune.cos_lr",), ("finetune.lrf",), lambda share: share != 1),
    UseCondition(
        ("finetune.warmup_momentum", "finetune.warmup_bias_lr"),
        ("finetune.epochs", "finetune.time", "finetune.warmup_epochs"),
        lambda epochs, hours, warmup: warmup > 0 and _has_epochs(epochs, hours),
    ),
    UseCondition(  # the momentum of Adam and its kin is one of its betas, which the warm-up leaves alone
        ("finetune.warmup_momentum",),
        ("finetune.optimizer",),
        lambda name: name in {"auto", "SGD", "MuSGD", "RMSProp"},
    ),
    UseCondition(("finetune.warmup_bias_lr",), ("finetune.optimizer",), lambda name: name != "auto"),
    UseCondition(("finetune.amp",), ("finetune.precision",), lambda precision: precision == "auto"),
    UseCondition(("finetune.amp",), ("finetune.device",), _is_on_gpu),
    UseCondition(("finetune.compile",), ("finetune.distill_model",), lambda teacher: teacher is None),
    UseCondition(
        ("finetune.dis", "finetune.distill_features"),
        ("finetune.distill_model",),
        lambda teacher: teacher is not None,
    ),
    UseCondition(_list_keys("finetune", "pose kobj rle"), ("data.task",), _is_task("pose")),
    UseCondition(_list_keys("finetune", "overlap_mask mask_ratio"), ("data.task",), _is_task("segment")),
    UseCondition(("finetune.angle",), ("data.task",), _is_task("obb")),
    UseCondition(("finetune.dropout",), ("data.task",), _is_task("classify")),
    UseCondition(
        _list_keys(
            "finetune", "cls_remap single_cls rect multi_scale iou max_det box cls cls_pw dfl distill_model"
        ),
        ("data.task",),
        _is_task(*_OBJECT_TASKS),
    ),
)
"""What Ultralytics 8.4 and the stages do; a key with several conditions is used if all of them hold."""
