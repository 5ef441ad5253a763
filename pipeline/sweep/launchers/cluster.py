"""Run jobs on a cluster: start each one, follow it, and start it again where its node was lost.

A cluster is Slurm (`slurm.py`) or Ray (`ray.py`). A thread follows each job.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from queue import Queue
from typing import Final, NamedTuple, Protocol

from pipeline.core.errors import UserError
from pipeline.sweep.job import (
    JobEnded,
    JobResult,
    JobStatus,
    StageBegan,
    SweepContext,
    SweepEvent,
    SweepJob,
)
from pipeline.sweep.workers.job_request import JobRequest, parse_event
from pipeline.sweep.workers.run_job import STOPPED

POLL_SECONDS: Final = 0.5
"""How often a job is asked for news."""
MAX_ATTEMPTS: Final = 10
"""A job whose node was lost, or that was preempted or reached its time limit, is started so often."""
FORCED_END_SECONDS: Final = 30.0
"""A job that was told to end at once, and whose cluster does not answer, is given up after so long."""


PREEMPTED: Final = "its node stopped it: its time limit was over, or it was preempted"
CANCELLED: Final = "it was cancelled on the cluster"
UNSTARTED: Final = "the sweep was stopped before it started"
WaitForStop = Callable[[float], bool]
"""Waits so many seconds; returns at once, and True, where the job was told to end."""


class AttemptEnd(NamedTuple):
    """Why an attempt is over although it gave no result.

    Attributes:
        status: Of the job, if it is not started again.
        reason: One sentence.
        again: Whether starting it again may help: its node was lost, it was preempted, its time was over.
    """

    status: JobStatus
    reason: str
    again: bool


class ClusterAttempt(Protocol):
    """One attempt of a job on a cluster."""

    def read_lines(self) -> list[str]:
        """Return the lines that it reported since the last call."""

    def find_end(self) -> AttemptEnd | None:
        """Return why it is over without a result; None while it waits or runs."""

    def was_cancelled(self) -> bool:
        """Return whether somebody cancelled it on the cluster: a killed job is not started again then."""

    def stop(self, *, force: bool) -> None:
        """Ask it to write its checkpoint and end, or with `force` kill it."""

    def release(self) -> None:
        """Forget it, after its end; what may still run of it is killed."""


class Cluster(Protocol):
    """Starts attempts."""

    @property
    def capacity(self) -> int:
        """How many jobs may run or wait at once."""

    def submit(self, request: JobRequest, wait_for_stop: WaitForStop) -> ClusterAttempt | None:
        """Start a job, or find the attempt of it that an earlier process of this sweep started.

        Args:
            request: The job.
            wait_for_stop: Called for each pause between tries, and before one.

        Returns:
            The attempt; None where the job was told to end before the cluster took it.

        Raises:
            UserError: The cluster does not take it.
        """

    def close(self) -> None:
        """Release what is held. No attempt runs any more."""


class ClusterLauncher:
    """Runs jobs on a cluster; see `Launcher`."""

    def __init__(
        self,
        context: SweepContext,
        events: Queue[SweepEvent],
        cluster: Cluster,
        *,
        get_variables: Callable[[SweepJob], Mapping[str, str]] = lambda _: {},
    ) -> None:
        """Keep what the jobs need.

        Args:
            context: Of the sweep.
            events: Gets `StageBegan` and `JobEnded`.
            cluster: Where the jobs run.
            get_variables: Called for each job; further environment variables of its processes.
        """
        self._context, self._events, self._cluster = context, events, cluster
        self._get_variables = get_variables
        self._jobs: dict[int, _FollowedJob] = {}
        self._shared = SharedStages()

    @property
    def capacity(self) -> int:
        """How many jobs may run or wait at once."""
        return self._cluster.capacity

    def start(self, job: SweepJob) -> None:
        """Start a job; it ends with exactly one `JobEnded`."""
        environment = {**self._context.environment, **self._get_variables(job)}
        context = self._context._replace(environment=environment)
        followed = _FollowedJob(JobRequest(job, context), self._cluster, self._events, shared=self._shared)
        self._jobs[job.number] = followed
        followed.start()

    def stop(self, number: int, *, force: bool) -> None:
        """Ask a job to write its checkpoint and end, or with `force` kill its processes."""
        if number in self._jobs:
            self._jobs[number].stop(force=force)

    def close(self) -> None:
        """Kill what still runs, and release what was held."""
        for followed in self._jobs.values():
            followed.stop(force=True)
        for followed in self._jobs.values():
            followed.join(FORCED_END_SECONDS + 5.0)
        self._cluster.close()


class SharedStages:
    """Lets one job at a time compute `prepare` and `augment` for all jobs that share their results."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owners: dict[str, int] = {}
        self._done: set[str] = set()

    def acquire(self, job: SweepJob, seconds: float) -> bool:
        """Wait for the results; return whether the job may start: they are there, or it computes them."""
        if not job.shared:
            return True
        with self._changed:
            return self._changed.wait_for(lambda: self._may_start(job), seconds)

    def release(self, job: SweepJob, *, done: bool) -> None:
        """Let others start: the job is done with these stages, or has ended."""
        with self._changed:
            if done:
                self._done.add(job.shared)
            if self._owners.get(job.shared) == job.number:
                del self._owners[job.shared]
            self._changed.notify_all()

    def _may_start(self, job: SweepJob) -> bool:
        return job.shared in self._done or self._owners.setdefault(job.shared, job.number) == job.number


class _FollowedJob(threading.Thread):
    """Follows one job over all of its attempts."""

    def __init__(
        self, request: JobRequest, cluster: Cluster, events: Queue[SweepEvent], *, shared: SharedStages
    ) -> None:
        super().__init__(name=f"job {request.job.number}", daemon=True)
        self._request, self._cluster, self._events, self._shared = request, cluster, events, shared
        self._job = request.job
        self._changed = threading.Condition()
        self._asked = 0

    def stop(self, *, force: bool) -> None:
        """Note that the job has to end."""
        with self._changed:
            self._asked = max(self._asked, 2 if force else 1)
            self._changed.notify_all()

    def run(self) -> None:
        """Put exactly one `JobEnded` into the queue, whatever happens."""
        start = time.monotonic()
        try:
            result = self._run_attempts()
        except UserError as error:
            result = JobResult(self._job, "failed", reason=str(error))
        except Exception as error:  # a thread that dies would leave the sweep waiting
            result = JobResult(self._job, "failed", reason=f"{type(error).__name__}: {error}")
        finally:
            self._shared.release(self._job, done=False)
        result = replace(result, seconds=round(time.monotonic() - start, 1))
        self._events.put(JobEnded(self._job.number, result))

    def _run_attempts(self) -> JobResult:
        result = JobResult(self._job, "killed", reason=UNSTARTED, attempts=0)
        while not self._shared.acquire(self._job, POLL_SECONDS):
            if self._asked:
                return replace(result, attempts=1)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if self._wait(0.0 if attempt <= 2 else min(10.0 * attempt, 60.0)):
                break
            result, again = self._run_attempt(attempt)
            if not again:
                break
        return replace(result, attempts=max(result.attempts, 1))

    def _run_attempt(self, attempt: int) -> tuple[JobResult, bool]:
        """Return how an attempt ended, and whether another one follows."""
        request = replace(self._request, attempt=attempt)
        running = self._cluster.submit(request, lambda seconds: self._wait(seconds) > 0)
        if running is None:
            return JobResult(self._job, "killed", reason=UNSTARTED, attempts=attempt - 1), False
        try:
            result, again = self._follow(running)
        finally:
            running.release()
        return replace(result, attempts=attempt), again and not self._asked

    def _follow(self, running: ClusterAttempt) -> tuple[JobResult, bool]:
        told, deadline = 0, float("inf")
        while time.monotonic() < deadline:
            end = running.find_end()
            for event in map(parse_event, running.read_lines()):
                if isinstance(event, JobEnded):
                    return self._judge(event.result, running)
                if isinstance(event, StageBegan):
                    self._note_stage(event)
            if end is not None:
                return JobResult(self._job, end.status, reason=end.reason), end.again
            asked = self._wait(POLL_SECONDS, above=told)
            if asked > told:
                running.stop(force=asked > 1)
                told, deadline = asked, time.monotonic() + FORCED_END_SECONDS if asked > 1 else deadline
        return JobResult(self._job, "killed", reason="it was killed with the sweep"), False

    def _judge(self, result: JobResult, running: ClusterAttempt) -> tuple[JobResult, bool]:
        """Return a result with its true reason, and whether another attempt follows."""
        if result.status != "killed" or self._asked:
            return result, False
        again = not running.was_cancelled()
        if (result.reason or "").startswith(STOPPED):  # as the node sees it, which did not stop it itself
            result = replace(result, reason=PREEMPTED if again else CANCELLED)
        return result, again

    def _note_stage(self, event: StageBegan) -> None:
        if event.stage == "finetune":
            self._shared.release(self._job, done=True)
        self._events.put(event)

    def _wait(self, seconds: float, *, above: int = 0) -> int:
        """Wait for a stop; return 0 without one, 1 for one with checkpoint, 2 for one at once."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked > above, seconds)
            return self._asked
