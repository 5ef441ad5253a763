"""Values that may be `auto` in conf/finetune: the stage finetune chooses them by the data."""

from __future__ import annotations

from typing import Final, Literal

Automatic = Literal["auto"]
AUTOMATIC: Final = "auto"
"""Stands for a value that the data decide."""


def require_number(value: int | Automatic, key: str) -> int:
    """Return a value of the configuration as the number that it has to be by now.

    Args:
        value: A number; auto where nobody has chosen one yet.
        key: Of the configuration, such as finetune.imgsz.

    Raises:
        ValueError: It is auto.
    """
    if value == AUTOMATIC:
        raise ValueError(f"{key}=auto has not been replaced by a number")
    return value


def get_number(value: int | Automatic) -> int | None:
    """Return a value of the configuration as a number; None where it is auto."""
    return None if value == AUTOMATIC else value
