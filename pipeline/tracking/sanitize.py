"""Make names and values legal for MLflow: metric, parameter and tag names, numbers, texts."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_NAME_LENGTH = 250
MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000


@functools.lru_cache(4096)
def make_legal_name(name: str) -> str:
    """Make a metric, parameter or tag name legal: `mAP50-95(B)` becomes `mAP50-95_B`.

    MLflow accepts letters, digits, `_ - . /` and spaces (colons on some platforms only), at most 250
    characters, and no name that would resolve to another one as a path.
    """
    name = re.sub(r"\((\w+)\)", r"_\1", name)
    parts = [part for part in re.sub(r"[^/\w.\- ]", "_", name).split("/") if part]
    name = "/".join("_" if set(part) == {"."} else part for part in parts) or "_"
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[: MAX_NAME_LENGTH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def make_names_legal(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make all names legal; where two become the same, the later one gets a number, so that none is lost."""
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        wanted = unique = make_legal_name(str(name))
        number = 2
        while unique in renamed:
            unique, number = f"{wanted[: MAX_NAME_LENGTH - 4]}_{number}", number + 1
        renamed[unique] = value
    return renamed


def sanitize_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """Keep the numbers, under legal names; what is not finite is no figure, and is left out."""
    renamed = make_names_legal(values)
    return {name: number for name, value in renamed.items() if (number := _to_number(value)) is not None}


def sanitize_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Flatten nested values to `group.key`, written as in YAML and cut at MLflow's limit."""
    flat = make_names_legal(dict(_flatten(values)))
    return {name: _cut(value, MAX_PARAM_LENGTH) for name, value in flat.items()}


def sanitize_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Write tags as text, cut at MLflow's limit; tags that are None are left out."""
    known = make_names_legal({name: value for name, value in values.items() if value is not None})
    return {name: _cut(_format_value(value), MAX_TAG_LENGTH) for name, value in known.items()}


def _to_number(value: Any) -> float | None:
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _format_value(value)


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str, allow_nan=False)
    return str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
