"""Tell which keys no stage uses beside the other values, as finetune.dis without finetune.distill_model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pipeline.core.config_diff import diff_configs, flatten_config, format_yaml_value

FlatValues = Mapping[str, Any]
"""Values by dotted keys."""

UNUSED_KEYS: Final = (
    *("tracking.", "compute.", "augment.offline.workers"),
    *("data.epochs", "data.imgsz", "model.lr0."),
)
"""Keys that decide no result: where runs are logged, who computes, and values that count only in the keys of
conf/finetune that refer to them."""


class UseCondition(NamedTuple):
    """When a stage uses some keys.

    Attributes:
        keys: The keys, or the start of their names with a dot at the end.
        decided_by: The key that decides it.
        is_used: Whether its value uses them.
    """

    keys: tuple[str, ...]
    decided_by: str
    is_used: Callable[[Any], bool]


def _is_task(task: str) -> Callable[[Any], bool]:
    return lambda value: value in {"auto", task}


USE_CONDITIONS: Final = (
    UseCondition(("finetune.gradual.",), "finetune.strategy", lambda value: value == "gradual"),
    UseCondition(("finetune.gradual.every",), "finetune.gradual.trigger", lambda value: value == "schedule"),
    UseCondition(("finetune.gradual.stall",), "finetune.gradual.trigger", lambda value: value == "plateau"),
    UseCondition(("finetune.dis",), "finetune.distill_model", lambda value: value is not None),
    UseCondition(("finetune.pose", "finetune.kobj", "finetune.rle"), "data.task", _is_task("pose")),
    UseCondition(("finetune.overlap_mask", "finetune.mask_ratio"), "data.task", _is_task("segment")),
    UseCondition(("finetune.angle",), "data.task", _is_task("obb")),
    UseCondition(("finetune.dropout",), "data.task", _is_task("classify")),
    UseCondition(("augment.offline.",), "augment.offline.multiplier", lambda value: value != 1),
    UseCondition(
        tuple(
            f"data.{name}"
            for name in ("unlabelled", "crowds", "predictions", "labels", "first_class", "sizes")
        ),
        "data.format",
        lambda value: value not in {"demo", "shapes"},
    ),
)


def find_reason_of_no_change(first: Mapping[str, Any], second: Mapping[str, Any]) -> str | None:
    """Return why two configurations give the same results, as far as their keys show it.

    Returns:
        None if they may give different results; else the reason.
    """
    values = flatten_config(first), flatten_config(second)
    reasons = [_find_reason(item.key, values) for item in diff_configs(first, second)]
    if None in reasons:
        return None
    return next(filter(None, reasons), "these jobs would have the same configuration")


def _find_reason(key: str, values: tuple[FlatValues, FlatValues]) -> str | None:
    """Return why neither of two configurations uses a key; None if one uses it."""
    if key.startswith(UNUSED_KEYS):
        return f"{key} decides no result of a training"
    for condition in USE_CONDITIONS:
        deciders = [each.get(condition.decided_by) for each in values]
        if _names_key(condition, key) and not any(map(condition.is_used, deciders)):
            return f"{condition.decided_by}={format_yaml_value(deciders[0])} does not use {key}"
    return None


def _names_key(condition: UseCondition, key: str) -> bool:
    return key != condition.decided_by and any(
        key.startswith(name) if name.endswith(".") else key == name for name in condition.keys
    )
