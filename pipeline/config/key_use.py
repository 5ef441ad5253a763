"""Tell which keys decide the val metric of a training beside the other values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pipeline.config.key_conditions import UNUSED_KEYS, USE_CONDITIONS, UseCondition
from pipeline.core.config_diff import diff_configs, flatten_config, format_yaml_value

FlatValues = Mapping[str, Any]
"""Values by dotted keys."""


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
    return find_unmet_condition(key, *values)


def find_unmet_condition(key: str, *values: FlatValues) -> str | None:
    """Return by which other keys none of some configurations uses a key; None if one uses it.

    Args:
        key: With its group, such as finetune.dropout.
        *values: The configurations.
    """
    for condition in USE_CONDITIONS:
        if names_key(condition.keys, key) and not any(_is_met(condition, each) for each in values):
            deciders = [f"{name}={format_yaml_value(values[0].get(name))}" for name in condition.decided_by]
            return f"{', '.join(deciders)} does not use {key}"
    return None


def _is_met(condition: UseCondition, values: FlatValues) -> bool:
    """Tell whether a configuration uses the keys; one whose values have wrong types may."""
    try:
        return condition.is_used(*(values.get(key) for key in condition.decided_by))
    except TypeError:
        return True


def names_key(keys: tuple[str, ...], key: str) -> bool:
    """Tell whether a table names a key, by its name or by its group with a dot at the end."""
    return any(key.startswith(name) if name.endswith(".") else key == name for name in keys)


def compute_effective_key(values: Mapping[str, Any], task: str | None = None) -> str:
    """Return a digest of a configuration without the keys that have no effect in it.

    Two configurations with the same digest give the same val metric.

    Args:
        values: The configuration.
        task: The task of the images where it is known and data.task is auto.
    """
    flat = flatten_config(values)
    if task is not None and flat.get("data.task") == "auto":
        flat["data.task"] = task
    unmet = {number for number, item in enumerate(USE_CONDITIONS) if not _is_met(item, flat)}
    kept = [(key, repr(value)) for key, value in sorted(flat.items()) if _may_decide(key, unmet)]
    return hashlib.sha256(json.dumps(kept, allow_nan=False).encode()).hexdigest()[:16]


def _may_decide(key: str, unmet: set[int]) -> bool:
    return not key.startswith(UNUSED_KEYS) and unmet.isdisjoint(_list_conditions(key))


@cache
def _list_conditions(key: str) -> tuple[int, ...]:
    return tuple(number for number, item in enumerate(USE_CONDITIONS) if names_key(item.keys, key))
