"""Compare nested configurations key by key; write differences, keys and values in short for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

MAX_LINE_LENGTH: Final = 110
"""Length of the differences that a line names; the rest is counted."""
MAX_VALUE_LENGTH: Final = 24
"""Characters of a value in a label."""


class AbsentKey:
    """Stands for the value of a key that one side does not have (null is a value)."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = AbsentKey()
_Place: TypeAlias = tuple[str, ...]
"""The keys that lead to a value in nested mappings."""


class KeyDifference(NamedTuple):
    """One key whose values differ."""

    key: str
    old: Any
    new: Any


def flatten_config(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys; lists and empty mappings stay values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat |= flatten_config(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def diff_configs(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[KeyDifference]:
    """List the dotted keys whose values differ: in the order of `new`, then those that only `old` has.

    A key that contains a dot is not the same as nested keys: the dotted key is listed once for each then.
    Numbers are compared with their type, as in a hash of parameters: 1, 1.0 and true are three values.
    """
    before, after = _list_leaves(old), _list_leaves(new)
    places = [*after, *(place for place in before if place not in after)]
    pairs = ((place, before.get(place, ABSENT), after.get(place, ABSENT)) for place in places)
    return [
        KeyDifference(".".join(map(str, place)), first, second)
        for place, first, second in pairs
        if repr(first) != repr(second)
        and not (
            {} in (first, second) and _has_nested_keys(place, places)
        )  # they are differences of their own
    ]


def _list_leaves(values: Mapping[str, Any], above: _Place = ()) -> dict[_Place, Any]:
    """List the values by the keys that lead to them: a key may contain a dot, such as `St. Bernard`."""
    leaves: dict[_Place, Any] = {}
    for name, value in values.items():
        place = (*above, name)
        leaves |= _list_leaves(value, place) if isinstance(value, Mapping) and value else {place: value}
    return leaves


def _has_nested_keys(place: _Place, places: Iterable[_Place]) -> bool:
    """Check for a mapping that is empty on one side only."""
    depth = len(place)
    return any(len(other) > depth and other[:depth] == place for other in places)


def format_yaml_value(value: object) -> str:
    """Format a value as in YAML: null, true, plain text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else "''"


def format_overrides(differences: Iterable[KeyDifference]) -> list[str]:
    """Format each difference as an override with the old value: `finetune.epochs=3 (20)`."""
    return [
        f"{item.key}={format_yaml_value(item.new)} ({format_yaml_value(item.old)})" for item in differences
    ]


def format_changes(differences: Iterable[KeyDifference]) -> list[str]:
    """Format each difference as old and new value: `finetune.epochs 20 -> 30`."""
    return [
        f"{item.key} {format_yaml_value(item.old)} -> {format_yaml_value(item.new)}" for item in differences
    ]


def join_first(texts: Sequence[str], more: str) -> str:
    """Join the texts that fit on a line, the first one always; count the others.

    Args:
        texts: Differences, formatted.
        more: Where all can be looked up; it is part of the result only if texts are left out.
    """
    cut = [text if len(text) <= MAX_LINE_LENGTH else f"{text[: MAX_LINE_LENGTH - 3]}..." for text in texts]
    shown = 1
    while shown < len(cut) and len(", ".join(cut[: shown + 1])) <= MAX_LINE_LENGTH:
        shown += 1
    left_out = f" and {len(cut) - shown} more" if len(cut) > shown else ""
    is_whole = not left_out and cut == list(texts)
    return ", ".join(cut[:shown]) + left_out + ("" if is_whole else f" (all: {more})")


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
