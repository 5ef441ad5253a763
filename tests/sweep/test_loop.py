"""The loop of a sweep, with jobs that are plain functions of the test."""

from __future__ import annotations

from queue import Queue

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import EpochReported, JobEnded, JobResult, StageBegan, SweepJob
from pipeline.sweep.loop import SweepLoop
from pipeline.sweep.stop_requests import StopRequests


def build_job(number: int) -> SweepJob:
    return SweepJob(number, number, 0, (), f"lr0={number}", f"x-{number}")


class Launcher:
    """Ends each job at once, as `ends` says; a job that is stopped is killed."""

    capacity = 2

    def __init__(self, events: Queue, ends) -> None:
        self.events, self.ends = events, ends
        self.started, self.stopped = [], []

    def start(self, job: SweepJob) -> None:
        self.started.append(job.number)
        for event in self.ends(job):
            self.events.put(event)

    def stop(self, number: int, *, force: bool) -> None:
        self.stopped.append((number, force))
        self.events.put(JobEnded(number, JobResult(build_job(number), "killed", reason="stopped")))

    def close(self) -> None:
        pass


class Source:
    """So many jobs; those named are pruned at their first epoch."""

    def __init__(self, count: int, *, pruned: frozenset[int] = frozenset()) -> None:
        self.waiting = [build_job(number) for number in range(count)]
        self.pruned, self.results = pruned, []

    def next_job(self) -> SweepJob | None:
        return self.waiting.pop(0) if self.waiting else None

    def report_epoch(self, event: EpochReported) -> bool:
        return event.number in self.pruned

    def finish_job(self, result: JobResult) -> JobResult:
        self.results.append((result.job.number, result.status))
        return result

    def stop(self) -> None:
        self.waiting.clear()


class View:
    """Shows nothing."""

    def show_started(self, job) -> None:
        pass

    def handle(self, event) -> None:
        pass

    def print(self, text) -> None:
        pass


def run(ends, source: Source, *, fail_fast: bool = False, stops: StopRequests | None = None) -> Launcher:
    events: Queue = Queue()
    launcher = Launcher(events, ends)
    SweepLoop(launcher, events, view=View(), stops=stops or StopRequests(), fail_fast=fail_fast).run(source)
    return launcher


def end(job: SweepJob, status: str, reason: str | None = None) -> JobEnded:
    return JobEnded(job.number, JobResult(job, status, reason=reason))


def test_all_jobs_run_whatever_becomes_of_the_others():
    source = Source(5)
    run(lambda job: [end(job, "failed" if job.number == 1 else "trained", "it explodes")], source)
    assert sorted(source.results) == [(n, "failed" if n == 1 else "trained") for n in range(5)]


def test_with_fail_fast_nothing_starts_after_a_failure():
    source = Source(5)
    launcher = run(lambda job: [end(job, "failed")] if job.number else [], source, fail_fast=True)
    assert launcher.started == [0, 1]
    assert launcher.stopped == [(0, False)]
    assert source.results == [(1, "failed"), (0, "killed")]


def test_a_training_gets_the_answer_of_its_source():
    answers = {}

    def train(job: SweepJob) -> list:
        def answer(prune: bool) -> None:
            answers[job.number] = prune

        return [EpochReported(job.number, 1, 3, "mAP50-95", 0.1, answer), end(job, "trained")]

    run(train, Source(3, pruned=frozenset({1})))
    assert answers == {0: False, 1: True, 2: False}


def test_jobs_that_all_fail_alike_before_their_training_end_the_sweep():
    source = Source(9)
    with pytest.raises(UserError, match="the images leak"):
        run(
            lambda job: [end(job, "failed", f"prepare: the images leak (all of it: {job.number}.log)")],
            source,
        )
    assert len(source.results) <= 4


def test_jobs_that_fail_in_their_training_do_not_end_the_sweep():
    source = Source(9)
    run(
        lambda job: [StageBegan(job.number, "finetune", restored=False), end(job, "failed", "it explodes")],
        source,
    )
    assert len(source.results) == 9


def test_the_first_signal_asks_for_checkpoints_and_the_second_kills():
    stops = StopRequests()
    source = Source(3)

    def signal_twice(_: SweepJob) -> list:
        stops.count += 1
        return []

    launcher = run(signal_twice, source, stops=stops)
    assert launcher.started == [0]
    assert launcher.stopped[0] == (0, False)
    assert source.results == [(0, "killed")]


def test_a_signal_is_obeyed_where_there_is_no_place_for_a_job():
    stops, events = StopRequests(), Queue()
    launcher = Launcher(events, lambda _: [])
    launcher.capacity = 0
    loop = SweepLoop(launcher, events, view=View(), stops=stops, fail_fast=False)
    loop.run(Source(1))
    assert not loop.stopped
    stops.count += 1
    loop.run(Source(1))
    assert loop.stopped
