"""Show a running sweep: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from pipeline.core.text import format_count
from pipeline.runtime.progress import format_duration
from pipeline.sweep.job import EpochReported, JobEnded, JobResult, StageBegan, SweepEvent, SweepJob
from pipeline.sweep.report.job_states import JobState, JobStates, SweepScope
from pipeline.sweep.winner import FIRST_NUMBER

LOG_SECONDS: Final = 10.0
"""Seconds between two lines about the epochs of one job, where there is no terminal."""
REFRESHES_PER_SECOND: Final = 2
MIN_ROWS: Final = 3
"""Rows of jobs on the smallest terminal."""
_FRAME_LINES: Final = 7
"""Lines around the rows: title, heading, rules, footer, and the line of the cursor."""
_NARROW: Final = 76
"""Terminals below this number of columns do without the column of the best epoch."""
_STYLES: Final = {
    "training": "cyan",
    "trained": "green",
    "restored": "green",
    "pruned": "yellow",
    "failed": "bold red",
    "killed": "red",
}


class LiveTable:
    """Shows the jobs of a sweep on standard error, or another stream, while the block runs.

    On a terminal a table is redrawn. Elsewhere, under TERM=dumb and with NO_COLOR, plain lines are written.
    """

    def __init__(self, name: str, *, stream: TextIO | None = None) -> None:
        """Choose the view; nothing is shown before the block.

        Args:
            name: The name of the sweep.
            stream: Where to; standard error by default.
        """
        self._name = name
        self._stream = stream or sys.stderr
        self._lock = threading.RLock()  # rich redraws in a thread of its own
        self._told: dict[int, float] = {}
        self._begun: set[int] = set()
        self.states = JobStates()
        self._live = self._create_live() if is_capable_terminal(self._stream) else None

    def set_plan(
        self,
        points: int | None,
        *,
        repetitions: int = 1,
        capacity: int = 1,
        seconds: float | None = None,
    ) -> None:
        """Set how much the sweep will run; it may change while it runs.

        Args:
            points: How many points; None where a time limit decides.
            repetitions: Jobs per point.
            capacity: Jobs at once.
            seconds: From now until nothing starts any more; None without a limit.
        """
        with self._lock:
            self.states.set_scope(SweepScope(points, repetitions, capacity, seconds))

    def add_results(self, results: Sequence[JobResult]) -> None:
        """Show jobs that an earlier command of the same sweep ran."""
        with self._lock:
            self.states.add_results(results)

    def show_started(self, job: SweepJob) -> None:
        """Show a job that waits for its turn, or for images that another job prepares."""
        with self._lock:
            self.states.start(job)
            self._told[job.number] = time.monotonic()

    def handle(self, event: SweepEvent) -> None:
        """Show an event of a job."""
        with self._lock:
            state = self.states.handle(event)
        if state and self._live is None:
            self._print_event(state, event)

    def print(self, text: str) -> None:
        """Print lines above the table."""
        for line in text.splitlines():
            if self._live:
                self._live.console.print(Text(_encode(f"sweep: {line}", self._stream)), soft_wrap=True)
            else:
                self._stream.write(f"sweep: {_encode(line, self._stream)}\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def _create_live(self) -> Live:
        console = Console(file=self._stream, highlight=False)
        return Live(
            console=console,
            get_renderable=lambda: self.render(console),
            refresh_per_second=REFRESHES_PER_SECOND,
            vertical_overflow="crop",
        )

    def render(self, console: Console) -> RenderableType:
        """Draw the table for the present size of the terminal."""
        with self._lock:
            rows = self.states.choose_rows(max(MIN_ROWS, console.height - _FRAME_LINES))
            table = self._create_table(console, hidden=len(self.states.jobs) - len(rows))
            for state in rows:
                table.add_row(*self._format_row(state, wide=console.width >= _NARROW))
            footer = Text(_encode("\n".join(self.describe_footer()), self._stream), no_wrap=True)
        footer.overflow = "ellipsis" if _is_unicode(self._stream) else "crop"
        return Group(table, footer)

    def _create_table(self, console: Console, *, hidden: int) -> Table:
        metric = f" · val {self.states.metric}" if self.states.metric else ""
        title = f"{self._name}{metric if _is_unicode(self._stream) else metric.replace('·', '-')}"
        cut = "ellipsis" if _is_unicode(self._stream) else "crop"
        columns = [
            Column("job", justify="right", no_wrap=True),
            Column("what differs", ratio=1, no_wrap=True, overflow=cut),  # type: ignore[arg-type]
            Column("epoch", justify="right", no_wrap=True),
            Column("val", justify="right", no_wrap=True),
            Column("best", justify="right", no_wrap=True),
            Column("state", no_wrap=True),
            Column("time", justify="right", no_wrap=True),
        ]
        if console.width < _NARROW:
            columns = [column for column in columns if column.header != "best"]
        caption = f"{format_count(hidden, 'job')} not shown" if hidden else None
        return Table(
            *columns,
            title=escape(_encode(title, self._stream)),
            title_justify="left",
            caption=caption,
            caption_justify="left",
            expand=True,
            box=None,
            header_style="bold",
            pad_edge=False,
        )

    def _format_row(self, state: JobState, *, wide: bool) -> list[Text]:
        best = self.states.best
        style = "bold" if best is state else ""
        number = "test" if _is_evaluation(state.job) else str(state.job.number)
        cells = [number, state.job.label or "as conf/ says", format_epoch(state)]
        cells += [format_value(state.value), *([format_value(state.best)] if wide else [])]
        texts = [Text(_encode(cell, self._stream), style=style) for cell in cells]
        seconds = Text(format_duration(self.states.compute_seconds(state)), style=style)
        return [*texts, Text(state.state, style=_STYLES.get(state.state, "dim")), seconds]

    def describe_footer(self) -> list[str]:
        """Return the lines below the table: what is done, the best so far, and the time left."""
        states = self.states
        planned = "" if states.scope.points is None else f" of {states.scope.points}"
        done = states.count_ended_points()
        noun = "point" if done == 1 and not planned else "points"
        counts = [f"{done}{planned} {noun} done", f"{len(states.running) - states.count('waiting')} running"]
        counts += [
            f"{number} {name}"
            for name in ("waiting", "pruned", "failed", "killed")
            if (number := states.count(name))
        ]
        left = states.estimate_seconds_left()
        counts += [f"about {format_duration(left)} left"] if left else []
        lines = [", ".join(counts)]
        if best := states.best:
            lines.append(f"highest val: job {best.job.number}, {format_value(best.score)}, {best.job.label}")
        return lines

    def _print_event(self, state: JobState, event: SweepEvent) -> None:
        now = time.monotonic()
        if isinstance(event, StageBegan) and event.number not in self._begun:
            self._begun.add(event.number)
            self.print(f"{_name_job(state.job)} started")
        elif isinstance(event, JobEnded):
            self.print(f"{_name_job(state.job)} {_describe_end(event.result)}")
            self.print("; ".join(self.describe_footer()))
        elif isinstance(event, EpochReported) and now - self._told.get(event.number, 0.0) >= LOG_SECONDS:
            self._told[event.number] = now
            self.print(
                f"{_name_job(state.job)} epoch {format_epoch(state)}, {_describe_values(self.states, state)}"
            )


def is_capable_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which a table may be redrawn."""
    return stream.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


def format_epoch(state: JobState) -> str:
    """Return the epoch of a job: `7 of 20`, or `7` where a time limit decides."""
    if not state.epoch:
        return ""
    return f"{state.epoch} of {state.epochs}" if state.epochs else str(state.epoch)


def format_value(value: float | None) -> str:
    """Return a metric with four digits; nothing for None."""
    return "" if value is None else f"{value:.4f}"


def _is_evaluation(job: SweepJob) -> bool:
    """Return whether a job scores the winner of the sweep."""
    return job.number >= FIRST_NUMBER and job.last_stage == "evaluate"


def _name_job(job: SweepJob) -> str:
    name = "the winner on test" if _is_evaluation(job) else f"job {job.number}"
    return f"{name}{f' ({job.label})' if job.label else ''}:"


def _describe_values(states: JobStates, state: JobState) -> str:
    return f"val {states.metric} {format_value(state.value)}, best {format_value(state.best)}"


def _describe_end(result: JobResult) -> str:
    score = "" if result.score is None else f", val {result.metric} {format_value(result.score)}"
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.status} in {format_duration(result.seconds)}{score}{reason}"


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "utf-8").lower().startswith("utf")


def _encode(text: str, stream: TextIO) -> str:
    """Return a text as the stream can write it, so that its width is known."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
