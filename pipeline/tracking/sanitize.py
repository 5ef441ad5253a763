"""Names and values that MLflow takes: the one place where illegal ones are made legal."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_NAME = 250
LONGEST_PARAM = 6000
LONGEST_TAG = 8000


@functools.lru_cache(4096)
def legal(name: str) -> str:
    """Make a metric, parameter or tag name legal: `mAP50-95(B)` becomes `mAP50-95_B`.

    MLflow takes letters, digits, `_ - . /` and blanks (a colon on some platforms alone), at most 250 of
    them, and no name that would resolve to another one if it were a path.
    """
    name = re.sub(r"\((\w+)\)", r"_\1", name)
    parts = [part for part in re.sub(r"[^/\w.\- ]", "_", name).split("/") if part]
    name = "/".join("_" if set(part) == {"."} else part for part in parts) or "_"
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def rename(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make all names legal; where two become the same, the later one gets a number, so that none is lost."""
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        wanted = unique = legal(str(name))
        number = 2
        while unique in renamed:
            unique, number = f"{wanted[: LONGEST_NAME - 4]}_{number}", number + 1
        renamed[unique] = value
    return renamed


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Keep what is a number, under legal names; not-a-number stays, as MLflow can show it."""
    renamed = rename(values)
    return {name: number for name, value in renamed.items() if (number := _number(value)) is not None}


def params(values: Mapping[str, Any]) -> dict[str, str]:
    """Flatten nested values to `group.key`, written as YAML writes them and cut at MLflow's limit."""
    return {name: _cut(value, LONGEST_PARAM) for name, value in rename(dict(_flat(values))).items()}


def tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Write tags as text, without the ones that are None, and cut at MLflow's limit."""
    known = {name: value for name, value in values.items() if value is not None}
    return {name: _cut(_text(value), LONGEST_TAG) for name, value in rename(known).items()}


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return math.copysign(1.7976931348623157e308, number) if math.isinf(number) else number


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
