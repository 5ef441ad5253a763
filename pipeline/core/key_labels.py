"""Short labels of configuration values for names and tables: `lr0=0.001`."""

from __future__ import annotations

from collections.abc import Sequence


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
