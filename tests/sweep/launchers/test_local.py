"""Which jobs run at once on one machine; what a job does is replaced here, and tested in tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepEvent, SweepJob
from pipeline.sweep.launchers import local
from pipeline.sweep.launchers.local import LOOKAHEAD, LocalLauncher
from pipeline.sweep.launchers.resources import Machine
from pipeline.sweep.settings import SweepSettings

GB = 10**9


class Jobs:
    """Stands for the jobs: each runs until the test ends it."""

    def __init__(self) -> None:
        self.running: dict[int, object] = {}
        self.cores: dict[int, tuple[int, ...]] = {}
        self._started: Queue[int] = Queue()
        self._endings: dict[int, Queue[str]] = {}

    def run(self, job, _context, *, share, control, **_options) -> JobResult:
        assert share.cores not in [self.cores[number] for number in self.running]
        self.cores[job.number], self.running[job.number] = share.cores, control
        self._endings[job.number] = Queue()
        self._started.put(job.number)
        status = self._endings[job.number].get(timeout=20)
        del self.running[job.number]
        if status == "error":
            raise UserError("git failed")
        return JobResult(job, status)

    def wait_for(self, count: int) -> set[int]:
        """Return the numbers of the next jobs that start."""
        return {self._started.get(timeout=20) for _ in range(count)}

    def train(self, number: int) -> None:
        """Let a job begin its finetune."""
        self.running[number].on_stage(StageBegan(number, "finetune", restored=False))

    def end(self, number: int, status: str = "trained") -> None:
        self._endings[number].put(status)


@pytest.fixture
def jobs(monkeypatch) -> Jobs:
    jobs = Jobs()
    monkeypatch.setattr(local, "run_job", jobs.run)
    monkeypatch.setattr(LocalLauncher, "_open_workspace", lambda *_: None)
    monkeypatch.setattr(LocalLauncher, "_name_server", lambda *_: {})
    monkeypatch.setattr(local, "read_machine", lambda: Machine((0, 1, 2, 3), 4, 4, (), 10 * GB))
    return jobs


@pytest.fixture
def events() -> Queue[SweepEvent]:
    return Queue()


def build_launcher(events: Queue[SweepEvent], jobs: int | str = 4) -> LocalLauncher:
    context = SweepContext("s", Path("p"), Path("f"), "c", {})
    return LocalLauncher(context, SweepSettings(jobs=jobs), events)


def build_job(number: int, shared: str = "") -> SweepJob:
    return SweepJob(number, number, 0, (), "", f"e{number}", shared=shared)


def list_ended(events: Queue[SweepEvent], count: int) -> Iterator[tuple[int, str]]:
    while count:
        event = events.get(timeout=20)
        if isinstance(event, JobEnded):
            count -= 1
            yield event.number, event.result.status


def test_jobs_with_the_same_images_wait_for_the_first_and_hold_up_no_others(jobs, events):
    launcher = build_launcher(events)
    for number, shared in enumerate("aabb"):
        launcher.start(build_job(number, shared))
    assert jobs.wait_for(2) == {0, 2}
    assert launcher.capacity == 4 + LOOKAHEAD
    jobs.train(0)
    assert jobs.wait_for(1) == {1}
    jobs.end(2, "failed")  # before its finetune: the next one makes the images
    assert jobs.wait_for(1) == {3}
    for number in (0, 1, 3):
        jobs.end(number)
    assert sorted(list_ended(events, 4)) == [(0, "trained"), (1, "trained"), (2, "failed"), (3, "trained")]
    assert launcher.capacity == 4
    launcher.close()


@pytest.mark.fault(14, "two jobs on one core")
def test_each_job_has_cores_of_its_own_and_no_more_run_than_there_are_shares(jobs, events):
    launcher = build_launcher(events, 2)
    for number in range(3):
        launcher.start(build_job(number, f"{number}"))
    assert jobs.wait_for(2) == {0, 1}
    assert sorted(jobs.cores.values()) == [(0, 1), (2, 3)]
    jobs.end(1)
    assert jobs.wait_for(1) == {2}
    jobs.end(0)
    jobs.end(2)
    launcher.close()


@pytest.mark.fault(14, "several jobs at once need more memory than there is")
def test_auto_runs_one_job_until_the_memory_of_a_training_is_known(jobs, events):
    launcher = build_launcher(events, "auto")
    for number, (restored, status) in enumerate([(True, "restored"), (False, "failed"), (False, "trained")]):
        assert launcher.capacity == 1
        launcher.start(build_job(number))
        jobs.wait_for(1)
        jobs.running[number].on_stage(StageBegan(number, "finetune", restored=restored))
        jobs.running[number].process.peak_bytes = 4 * GB
        jobs.end(number, status)
        assert list(list_ended(events, 1)) == [(number, status)]
    assert launcher.capacity == 2
    launcher.close()


def test_a_job_that_waits_is_stopped_before_it_starts(jobs, events):
    launcher = build_launcher(events)
    for number in range(2):
        launcher.start(build_job(number))
    jobs.wait_for(1)
    launcher.stop(1, force=False)
    launcher.stop(7, force=True)
    assert list(list_ended(events, 1)) == [(1, "killed")]
    launcher.stop(0, force=False)
    assert jobs.running[0].process.is_stopped
    jobs.end(0, "killed")
    launcher.close()


@pytest.mark.fault(14, "the workspace of a job cannot be made")
def test_a_job_that_cannot_run_is_failed_and_its_share_is_free_again(jobs, events, monkeypatch):
    launcher = build_launcher(events, 1)
    launcher.start(build_job(0))
    jobs.wait_for(1)
    jobs.end(0, "error")
    assert list(list_ended(events, 1)) == [(0, "failed")]
    monkeypatch.setattr(local, "run_job", lambda *_, **__: [].pop())  # a fault of the code
    launcher.start(build_job(1))
    assert list(list_ended(events, 1)) == [(1, "failed")]
    assert launcher.capacity == 1
    launcher.close()
