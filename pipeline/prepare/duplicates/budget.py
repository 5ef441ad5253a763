"""When a search for near copies would take hours: so many pairs look alike."""

from __future__ import annotations

from threading import Lock
from typing import Final

ENOUGH: Final = 0.1
"""Share of a search that tells what the rest will be like: images of one place may all come first."""


class TooManyPairsError(Exception):
    """So many pairs look alike that it would take hours to lay one image of each over the other."""


class PairBudget:
    """Counts the pairs that a search comes upon; several threads may count at once.

    Args:
        whole: How many pairs of images are to be compared.
        most: Pairs that may look alike.
    """

    def __init__(self, whole: int, most: int) -> None:
        self._whole, self._most = whole, most
        self._alike = self._compared = 0
        self._lock = Lock()

    def add(self, *, alike: int = 0, compared: int = 0) -> None:
        """Count pairs that look alike, and pairs that were compared.

        Raises:
            Crowded: There are too many, or going by what was compared there will be; how many.
        """
        with self._lock:
            self._alike += alike
            self._compared += compared
            known = self._compared >= ENOUGH * self._whole
            expected = self._alike * self._whole // self._compared if compared and known else self._alike
        if expected > self._most:
            raise TooManyPairsError(expected)
