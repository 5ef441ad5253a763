"""The loop of a sweep: start what the study asks for, and hand it what the jobs report."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, Queue
from typing import Final, Protocol

from pipeline.core.errors import UserError
from pipeline.sweep.early_failures import EarlyFailures
from pipeline.sweep.job import (
    EpochReported,
    JobEnded,
    JobResult,
    Launcher,
    SweepEvent,
    SweepJob,
)
from pipeline.sweep.stop_requests import StopRequests

POLL_SECONDS: Final = 0.2
"""How soon a signal is obeyed while nothing else happens."""


class JobSource(Protocol):
    """What a sweep runs next: the study, or the evaluations of the winner."""

    def next_job(self) -> SweepJob | None:
        """Return the next job; None if there is none to be started now."""

    def report_epoch(self, event: EpochReported) -> bool:
        """Record a val metric; return whether the training ends here."""

    def finish_job(self, result: JobResult) -> JobResult:
        """Record how a job ended, and return it as it is recorded: a training may not count."""

    def stop(self) -> None:
        """Plan nothing more."""


class SweepView(Protocol):
    """What people see while jobs run."""

    def show_started(self, job: SweepJob) -> None:
        """Show that a job was started."""

    def handle(self, event: SweepEvent) -> None:
        """Show an event."""

    def print(self, text: str) -> None:
        """Print a line beside the table."""


class SweepLoop:
    """Runs the jobs of a source, as many at once as the launcher takes.

    Attributes:
        stopped: Whether no further job starts: after a signal, or with fail_fast after a failure.
    """

    def __init__(
        self,
        launcher: Launcher,
        events: Queue[SweepEvent],
        *,
        view: SweepView,
        stops: StopRequests,
        fail_fast: bool,
    ) -> None:
        self._launcher, self._events, self._view = launcher, events, view
        self._stops, self._fail_fast = stops, fail_fast
        self._running: dict[int, SweepJob] = {}
        self._failures = EarlyFailures()
        self._obeyed = 0
        self.stopped = False

    @property
    def capacity(self) -> int:
        """How many jobs may run at once now."""
        return self._launcher.capacity

    def run(self, source: JobSource, after: Callable[[JobResult], None] = lambda _: None) -> None:
        """Run jobs until the source has none and none runs.

        Args:
            source: Of the jobs.
            after: Called after each result; UserError from it ends the sweep, after the running jobs stopped.
        """
        refusal: UserError | None = None
        self._obey_signals()  # also where there is no place for a job
        self._start_jobs(source)
        while self._running:
            self._obey_signals()
            try:
                event = self._events.get(timeout=POLL_SECONDS)
            except Empty:
                self._start_jobs(source)  # memory, or the wait for shared results, may be over
                continue
            try:
                self._handle(event, source, after)
            except UserError as error:
                refusal = refusal or error
                self._stop_jobs()
            self._start_jobs(source)
        if refusal:
            raise refusal

    def _start_jobs(self, source: JobSource) -> None:
        while len(self._running) < self._launcher.capacity:
            self._obey_signals()
            if self.stopped:
                return
            job = source.next_job()
            if job is None:
                return
            self._running[job.number] = job
            self._view.show_started(job)
            self._launcher.start(job)

    def _handle(self, event: SweepEvent, source: JobSource, after: Callable[[JobResult], None]) -> None:
        if isinstance(event, EpochReported):
            self._answer(event, source)
        elif isinstance(event, JobEnded):
            self._finish(event, source, after)
            return
        else:
            self._failures.note_stage(event)
        self._view.handle(event)

    def _answer(self, event: EpochReported, source: JobSource) -> None:
        """Answer whether a training ends here; after an error it goes on."""
        prune = False
        try:
            prune = event.number in self._running and source.report_epoch(event)
        finally:
            event.answer(prune)

    def _finish(self, event: JobEnded, source: JobSource, after: Callable[[JobResult], None]) -> None:
        self._running.pop(event.number, None)
        result = source.finish_job(event.result)
        self._view.handle(event._replace(result=result))
        if result.status in {"failed", "killed"} and self._fail_fast and not self.stopped:
            self._view.print(f"job {event.number} failed: the others are stopped (sweep.fail_fast)")
            self._stop_jobs()
        after(result)
        common = None if self.stopped else self._failures.find_common_reason(result)
        if common:
            raise UserError(f"jobs fail before their training, so the others are not started: {common}")

    def _obey_signals(self) -> None:
        if self._stops.count > self._obeyed:
            self._obeyed = self._stops.count
            force = self._obeyed > 1
            if self._running:
                how = "killing" if force else "waiting for the checkpoints of"
                again = "" if force else "; again kills them"
                self._view.print(f"stopping: {how} {len(self._running)} running{again}")
            self._stop_jobs(force=force)

    def _stop_jobs(self, *, force: bool = False) -> None:
        self.stopped = True
        for number in list(self._running):
            self._launcher.stop(number, force=force)
