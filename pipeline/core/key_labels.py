"""Short labels of configuration values for names and tables: `lr0=0.001`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core.config_diff import ABSENT, format_yaml_value

MAX_VALUE_LENGTH: Final = 24
"""Characters of a value in a label."""


def shorten_keys(keys: Sequence[str]) -> list[str]:
    """Shorten dotted keys to as many last words as tell them apart: `finetune.lr0` to `lr0`."""
    plain = [key.lstrip("+~") for key in keys]
    names = []
    for key in plain:
        words = key.split(".")
        for count in range(1, len(words) + 1):
            name = ".".join(words[-count:])
            if count == len(words) or not any(
                other != key and (other == name or other.endswith(f".{name}")) for other in plain
            ):
                break
        names.append(name)
    return names


def shorten_value(value: str | int | float) -> str:
    """Return a value for people: a float with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_short_value(value: Any) -> str:
    """Return any value of a configuration for people: as in YAML, `(none)` if absent, cut if it is long."""
    if value is ABSENT:
        return "(none)"
    text = shorten_value(value) if isinstance(value, float) else format_yaml_value(value)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"


def unify_numbers(value: Any) -> Any:
    """Write whole numbers as integers, also in lists and mappings: 1 and 1.0 are one value for people."""
    if isinstance(value, Mapping):
        return {key: unify_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unify_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
