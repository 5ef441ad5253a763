"""Refuse configuration values that read the machine, such as ${oc.env:NAME}: a secret would be recorded.

Interpolations of other keys (`${data.imgsz}`) stay, and functions of such values (`${oc.select:...}`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pipeline.core.errors import UserError

PURE_RESOLVERS: Final = frozenset(
    {"oc.create", "oc.decode", "oc.deprecated", "oc.dict.keys", "oc.dict.values", "oc.select"}
)
"""Functions of OmegaConf whose result depends on the configuration alone."""
_MAX_NAME_LENGTH: Final = 200
"""Characters in which the name of a function has to end; a longer one is refused."""


def require_pure_interpolations(values: Any, where: str) -> None:
    """Require that no value of a configuration reads the environment, the clock or Hydra's state.

    Args:
        values: Nested dictionaries and lists, with interpolations as they are written.
        where: Starts the message, such as `params.yaml`.

    Raises:
        UserError: Names the first key that does.
    """
    for key, text in _iterate_texts(values):
        for name in find_resolvers(text):
            if name not in PURE_RESOLVERS:
                raise UserError(
                    f"{where}: {key} takes its value from this machine (${{{name[:40]}:...}}), which could "
                    "record a secret, and differs elsewhere: write the value itself"
                )


def find_resolvers(text: str) -> Iterator[str]:
    """Yield the name of the function in each ${NAME:...} of a text; a name may hold interpolations itself."""
    start = text.find("${")
    while start >= 0:
        name = _find_name(text[start + 2 : start + 2 + _MAX_NAME_LENGTH])
        if name is not None:
            yield name.strip()
        start = text.find("${", start + 2)


def _find_name(text: str) -> str | None:
    """Return what stands before the colon; None for an interpolation of a key, which ends without one."""
    depth = 0
    for place, char in enumerate(text):
        if depth == 0 and char in ":}":
            return text[:place] if char == ":" else None
        depth += {"{": 1, "}": -1}.get(char, 0)
    return text


def _iterate_texts(values: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of nested values, each with its key; keys of the mappings are texts, too."""
    if isinstance(values, str):
        yield key, values
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _iterate_texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from _iterate_texts(value, f"{key}[{number}]")
