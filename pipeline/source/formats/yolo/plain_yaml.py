"""Check values of a data.yaml that may be converted to text safely."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

_MAX_INTEGER_BITS: Final = 64


def is_plain_value(value: Any) -> bool:
    """Check for a text, a number, a date or nothing.

    A list of YAML aliases to lists may expand to more text than fits in memory, and Python refuses to convert
    very long integers to text.
    """
    if isinstance(value, int):
        return value.bit_length() <= _MAX_INTEGER_BITS
    return isinstance(value, str | float | date | None)
