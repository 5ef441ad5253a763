"""Count Ctrl-C, SIGTERM and SIGHUP while jobs run, which the loop of the sweep then obeys."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Final, Self

from pipeline.core.errors import Terminated

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequests(AbstractContextManager["StopRequests"]):
    """Counts the signals that ask for an end, instead of raising in the middle of the loop.

    Attributes:
        count: How many came.
    """

    def __init__(self) -> None:
        self.count = 0
        self._first: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # SIGHUP under nohup
                self._handlers[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def build_error(self) -> KeyboardInterrupt:
        """Return what the first signal would have raised."""
        return KeyboardInterrupt() if self._first == signal.SIGINT else Terminated()

    def _count(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - of a handler
        self._first = self._first or number
        self.count += 1
