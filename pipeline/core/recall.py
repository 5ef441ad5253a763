"""How well a recall is known that was measured on few objects."""

from __future__ import annotations

from typing import Final

_Z: Final = 1.959964
"""The normal distribution's 97.5% point."""


def interval(objects: int, recall: float = 0.8) -> tuple[float, float]:
    """Return the 95% interval that a recall measured on so many objects has (Wilson, JASA 1927).

    Objects of one image are no independent draws, so that the truth is rather wider.
    """
    if not objects:
        return 0.0, 1.0
    middle = (recall + _Z**2 / (2 * objects)) / (1 + _Z**2 / objects)
    root = (recall * (1 - recall) / objects + _Z**2 / (4 * objects**2)) ** 0.5
    half = _Z * root / (1 + _Z**2 / objects)
    return middle - half, middle + half
