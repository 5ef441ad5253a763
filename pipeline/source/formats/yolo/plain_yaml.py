"""Plain words of a data.yaml: what may be spelled out without filling the memory."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

_MOST_BITS: Final = 64


def plain(value: Any) -> bool:
    """Tell a word, a number, a date or nothing.

    A list of references to lists, spelled out, may fill the memory; a very long whole number cannot be
    spelled out at all.
    """
    if isinstance(value, int):
        return value.bit_length() <= _MOST_BITS
    return isinstance(value, str | float | date | None)
