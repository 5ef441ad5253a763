"""How two nested configurations differ, key by key, in a form that fits a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class AbsentKey:
    """The side of a difference where the key is not there at all (null is a value)."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = AbsentKey()


class KeyDifference(NamedTuple):
    """One key whose value is not the same on both sides."""

    key: str
    old: Any
    new: Any


def flatten(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Turn nested mappings into one with dotted keys; lists and empty mappings stay values."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{above}{name}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{key}.")
        else:
            flat[key] = value
    return flat


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[KeyDifference]:
    """List the dotted keys whose values differ, in the order of `new`, then what only `old` has.

    Numbers are compared with their type: 1 and 1.0 and true are three values to a hash of parameters.
    """
    before, after = flatten(old), flatten(new)
    keys = [*after, *(key for key in before if key not in after)]
    pairs = (KeyDifference(key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in keys)
    return [pair for pair in pairs if repr(pair.old) != repr(pair.new) and not _told_below(pair, keys)]


def _told_below(pair: KeyDifference, keys: Iterable[str]) -> bool:
    """Tell an empty mapping that is filled on the other side: the keys in it say so."""
    return {} in pair and any(key.startswith(f"{pair.key}.") for key in keys)


def render(value: object) -> str:
    """Write a value as YAML would: null, true, plain text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if value != "" else "''"


def assignments(found: Iterable[KeyDifference]) -> str:
    """Name each difference as the override that makes it: `finetune.epochs=3 (20)`, the old value last."""
    return ", ".join(f"{item.key}={render(item.new)} ({render(item.old)})" for item in found)


def changes(found: Iterable[KeyDifference]) -> str:
    """Name each difference as a step: `finetune.epochs 20 -> 30`."""
    return ", ".join(f"{item.key} {render(item.old)} -> {render(item.new)}" for item in found)
