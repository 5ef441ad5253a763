"""Set values in a composed configuration, and resolve its references, without OmegaConf."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pipeline.compose.stage import ParamValues

_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][\w.]*)\}")
_MISSING: Final = "???"


class NotSimpleError(Exception):
    """Only OmegaConf can set or resolve this."""


class ConfigTemplate:
    """A composed configuration whose references are not resolved.

    Args:
        values: Plain mappings, lists and values; a reference is a text such as `${data.epochs}`.
    """

    def __init__(self, values: Any) -> None:
        self.values: ParamValues = values
        self._references: dict[str, str] = {}
        self._is_simple = True
        for key, value in _iterate_leaves(values):
            if has_reference(value):
                found = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
                self._is_simple &= found is not None
                self._references[key] = found[1] if found else ""

    def fill(self, settings: Sequence[tuple[str, Any]]) -> ParamValues:
        """Return a copy with these values by dotted keys, references resolved.

        Raises:
            NotSimpleError: OmegaConf has to do it.
        """
        if not self._is_simple:
            raise NotSimpleError
        values: ParamValues = _copy_values(self.values)
        for key, value in settings:
            _set_leaf(values, key, value)
        left = self._references.keys() - {key for key, _ in settings}
        for key in left:
            _set_leaf(values, key, self._resolve(values, key, left))
        return values

    def _resolve(self, values: ParamValues, key: str, left: set[str]) -> Any:
        for _ in range(len(left) + 1):
            target = self._references[key]
            if target not in left:
                value = _get_leaf(values, target)
                if value == _MISSING:
                    break
                return value
            key = target
        raise NotSimpleError

    def differs_only_in(self, group: str, other: ConfigTemplate) -> bool:
        """Tell whether the values of all other top-level keys are those of another template."""
        return list(self.values) == list(other.values) and all(
            repr(value) == repr(other.values[key]) for key, value in self.values.items() if key != group
        )

    def replace_group(self, group: str, other: ConfigTemplate) -> ConfigTemplate:
        """Return a template with the values of a top-level key from another one."""
        return ConfigTemplate({**self.values, group: other.values[group]})


def has_reference(value: Any) -> bool:
    """Tell whether a text, or one in a list or mapping, may refer to another value."""
    if isinstance(value, str):
        return "$" in value or "\\" in value
    if isinstance(value, Mapping):
        return any(map(has_reference, [*value, *value.values()]))
    return isinstance(value, list) and any(map(has_reference, value))


def _iterate_leaves(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _iterate_leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _copy_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy_values(item) for name, item in value.items()}
    return list(map(_copy_values, value)) if isinstance(value, list) else value


def _find_parent(values: ParamValues, key: str) -> tuple[dict[str, Any], str]:
    *groups, name = key.split(".")
    found: Any = values
    for group in groups:
        found = found.get(group) if isinstance(found, dict) else None
    if not isinstance(found, dict) or name not in found or isinstance(found[name], dict):
        raise NotSimpleError
    return found, name


def _get_leaf(values: ParamValues, key: str) -> Any:
    parent, name = _find_parent(values, key)
    return parent[name]


def _set_leaf(values: ParamValues, key: str, value: Any) -> None:
    if isinstance(value, dict) or has_reference(value):
        raise NotSimpleError
    parent, name = _find_parent(values, key)
    parent[name] = _copy_values(value)
