"""Show the progress of a stage: one line on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import ClassVar, Final, Self, TextIO, TypeVar

FIRST_DRAW_SECONDS: Final = 0.5
"""Seconds before the first line on a terminal: shorter work draws nothing."""
REDRAW_SECONDS: Final = 0.1
"""Seconds between two drawings on a terminal."""
MIN_LOG_SECONDS: Final = 5.0
"""Seconds between two lines of a log, and before the first one: shorter work writes nothing."""
MAX_LOG_SECONDS: Final = 30.0
LOG_SHARE: Final = 0.02
"""Between these two limits, the time between two lines is 2% of the time since the start."""
MAX_SAMPLES: Final = 30
SAMPLE_SECONDS: Final = 1.0
"""The time left follows the speed of the last 30 seconds, or of the last 30 updates if these took longer."""
_T = TypeVar("_T")


class Progress:
    """Progress of one stage, with the time left, on standard error.

    On a terminal one line is redrawn. Elsewhere (CI, a log file) a plain line without control characters is
    written every few seconds, and nothing for work that ends earlier. The line:

        prepare: 1,200 of 10,000 images (12%), about 3 min left

    On a terminal too narrow for the counts, the share of the work stands in their place.

    Use it as a context manager, or call `close` at the end.
    """

    _on_terminal: ClassVar[Progress | None] = None
    """The progress whose line is on the terminal now."""

    def __init__(
        self,
        stage: str,
        total: int | None,
        *,
        unit: str = "images",
        done: int = 0,
        stream: TextIO | None = None,
    ) -> None:
        """Start the clock.

        Args:
            stage: Starts each line: `prepare`.
            total: The number of units; None if it is not known.
            unit: What is counted, in the plural, with more detail where needed: `images written`.
            done: Units that were done before, as in a resumed training; the speed does not include them.
            stream: Where the lines go; standard error by default.
        """
        self.stage, self.total, self.unit, self.done = stage, total, unit, done
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._start = time.monotonic()
        self._first = self._next = self._start + (FIRST_DRAW_SECONDS if self._terminal else MIN_LOG_SECONDS)
        self._samples = deque([(self._start, done)], maxlen=MAX_SAMPLES)
        self._note = ""
        self._shown = 0
        self._closed = False

    def update(self, n: int = 1, *, note: str = "") -> None:
        """Count `n` more as done.

        Args:
            n: The number of units.
            note: Text for the end of the line, such as a metric; if empty, the last one stays.
        """
        self.done += n
        self._note = note or self._note
        now = time.monotonic()
        if now - self._samples[-1][0] >= SAMPLE_SECONDS:
            self._samples.append((now, self.done))
        if now >= self._next and self.done != self.total:
            self._write(self._describe(now))
            self._next = now + (REDRAW_SECONDS if self._terminal else self._log_interval(now))

    def close(self) -> None:
        """Write the final line, except after short work. A second call does nothing."""
        now = time.monotonic()
        if not self._closed and now >= self._first:
            self._write(self._compose_line(f" in {format_duration(now - self._start)}"))
        self._end()

    def track(self, items: Iterable[_T]) -> Iterator[_T]:
        """Yield the items, and count each one after its iteration."""
        with self:
            for item in items:
                yield item
                self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        self._end()  # after an error there is no final line

    def _describe(self, now: float) -> str:
        left = self._estimate_seconds_left(now)
        return self._compose_line(f", about {format_duration(left)} left" if left is not None else "")

    def _compose_line(self, duration: str) -> str:
        """Join stage, count, duration and note; on a narrow terminal the share replaces the count."""
        rest = f"{duration}, {self._note}" if self._note else duration
        if not self.total:
            return f"{self.stage}: {self.done:,} {self.unit}{rest}"
        share = f"{100 * self.done // self.total}%"
        line = f"{self.stage}: {self.done:,} of {self.total:,} {self.unit} ({share}){rest}"
        is_wide = self._terminal and len(line) >= _terminal_width(self._stream)
        return f"{self.stage}: {share}{rest}" if is_wide else line

    def _estimate_seconds_left(self, now: float) -> float | None:
        before, done = self._samples[0]
        if not self.total or self.done == done or self.done > self.total:
            return None
        return (now - before) / (self.done - done) * (self.total - self.done)

    def _log_interval(self, now: float) -> float:
        return min(MAX_LOG_SECONDS, max(MIN_LOG_SECONDS, LOG_SHARE * (now - self._start)))

    def _write(self, line: str) -> None:
        if self._terminal:
            line = line[: _terminal_width(self._stream) - 1]
            self._stream.write(f"\r{line:<{self._shown}}")
            Progress._on_terminal = self
        else:
            self._stream.write(f"{line}\n")
        self._shown = len(line)
        self._stream.flush()

    def _erase(self) -> None:
        self._stream.write(f"\r{'':<{self._shown}}\r")
        self._stream.flush()

    def _end(self) -> None:
        if self._terminal and self._shown and not self._closed:
            self._stream.write("\n")
            self._stream.flush()
        if Progress._on_terminal is self:
            Progress._on_terminal = None
        self._closed = True


def print_notice(sentence: str) -> None:
    """Print a line on standard error; erase the progress line of a terminal first.

    Args:
        sentence: In the style of all stages: `stage: sentence`.
    """
    if (progress := Progress._on_terminal) is not None:
        progress._erase()
    sys.stderr.write(f"{sentence}\n")


def format_duration(seconds: float) -> str:
    """Format a duration: `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _terminal_width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
