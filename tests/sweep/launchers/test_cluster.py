"""Following jobs on a cluster whose attempts end as the tests say."""

from __future__ import annotations

from queue import Queue

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepJob
from pipeline.sweep.launchers import cluster
from pipeline.sweep.launchers.cluster import AttemptEnd, ClusterLauncher
from pipeline.sweep.workers.job_request import format_event

LOST = AttemptEnd("killed", "its node was lost", again=True)
BROKEN = AttemptEnd("failed", "it is broken", again=False)


class ScriptedAttempt:
    """Reports lines, ends, or waits for a stop."""

    def __init__(self, lines=(), end=None, cancelled=False) -> None:
        self.cancelled = cancelled
        self.lines, self.end, self.told, self.is_released = list(lines), end, [], False

    def read_lines(self):
        lines, self.lines = self.lines, []
        return lines

    def find_end(self):
        return self.end

    def was_cancelled(self):
        return self.cancelled

    def stop(self, *, force):
        self.told.append(force)
        if not force:
            self.lines = [format_event(JobResult(build_job(), "killed", reason="the sweep was stopped"))]

    def release(self):
        self.is_released = True


class ScriptedCluster:
    """Gives one attempt after the other."""

    capacity = 3

    def __init__(self, *attempts: ScriptedAttempt | Exception) -> None:
        self.attempts, self.requests = list(attempts), []

    def submit(self, request, wait_for_stop):
        assert not wait_for_stop(0.0)
        self.requests.append(request)
        attempt = self.attempts[len(self.requests) - 1]
        if isinstance(attempt, Exception):
            raise attempt
        return attempt

    def close(self):
        assert all(attempt.is_released for attempt in self.attempts[: len(self.requests)])


def build_job(number=0, shared=""):
    return SweepJob(number, number, 0, ("seed=1",), "seed=1", f"try-{number}", shared=shared)


def build_launcher(tmp_path, *attempts: ScriptedAttempt | Exception):
    context = SweepContext("try", tmp_path, tmp_path, "abc", {"A": "1"})
    events, scripted = Queue(), ScriptedCluster(*attempts)
    launcher = ClusterLauncher(context, events, scripted, get_variables=lambda job: {"B": str(job.number)})
    return launcher, events, scripted


def finish(events):
    return next(
        event.result for event in iter(lambda: events.get(timeout=10), None) if isinstance(event, JobEnded)
    )


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)


def report(number=0, status="trained"):
    metrics = {"mAP50-95": 0.5} if status == "trained" else {}
    reason = "the sweep was stopped (on a node)" if status == "killed" else None
    return [
        format_event(StageBegan(number, "finetune", restored=False)),
        format_event(JobResult(build_job(number), status, metrics=metrics, metric="mAP50-95", reason=reason)),
    ]


@pytest.mark.parametrize(
    ("attempts", "status", "count", "reason"),
    [
        ([ScriptedAttempt(report())], "trained", 1, None),
        ([ScriptedAttempt(report(), BROKEN)], "trained", 1, None),
        ([ScriptedAttempt([], BROKEN)], "failed", 1, "it is broken"),
        ([ScriptedAttempt([], LOST), ScriptedAttempt(report())], "trained", 2, None),
        ([ScriptedAttempt(report(status="killed")), ScriptedAttempt(report())], "trained", 2, None),
        ([ScriptedAttempt(report(status="killed"), cancelled=True)], "killed", 1, cluster.CANCELLED),
        ([ScriptedAttempt(report(status="pruned"))], "pruned", 1, None),
        ([ScriptedAttempt(["{", "3", "{}", *report()])], "trained", 1, None),
        ([UserError("Slurm refused the job")], "failed", 1, "Slurm refused the job"),
        ([ZeroDivisionError("by zero")], "failed", 1, "ZeroDivisionError: by zero"),
    ],
)
def test_a_job_is_started_again_where_its_node_was_lost_and_ends_once(
    tmp_path, attempts, status, count, reason
):
    launcher, events, scripted = build_launcher(tmp_path, *attempts)
    launcher.start(build_job())
    result = finish(events)
    assert (result.status, result.attempts, result.reason) == (status, count, reason)
    assert [request.attempt for request in scripted.requests] == list(range(1, count + 1))
    assert scripted.requests[0].context.environment == {"A": "1", "B": "0"}
    if not any(isinstance(attempt, Exception) for attempt in attempts):
        launcher.close()
    assert events.empty()


def test_a_job_whose_nodes_are_always_lost_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "MAX_ATTEMPTS", 2)
    launcher, events, _ = build_launcher(tmp_path, *(ScriptedAttempt([], LOST) for _ in range(2)))
    launcher.start(build_job())
    result = finish(events)
    assert (result.status, result.attempts, result.reason) == ("killed", 2, "its node was lost")


def test_a_stopped_job_is_asked_once_and_not_started_again(tmp_path):
    waiting = ScriptedAttempt()
    launcher, events, _ = build_launcher(tmp_path, waiting)
    launcher.start(build_job())
    launcher.stop(0, force=False)
    launcher.stop(0, force=False)
    assert (finish(events).status, waiting.told, waiting.is_released) == ("killed", [False], True)


def test_a_job_that_answers_no_kill_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "FORCED_END_SECONDS", 0.05)
    deaf = ScriptedAttempt()
    launcher, events, _ = build_launcher(tmp_path, deaf)
    launcher.start(build_job())
    launcher.close()
    assert (finish(events).status, deaf.told, deaf.is_released) == ("killed", [True], True)


def test_jobs_with_the_same_images_wait_until_the_first_one_trains(tmp_path):
    first, second, other = ScriptedAttempt(), ScriptedAttempt(report(1)), ScriptedAttempt(report(2))
    launcher, events, scripted = build_launcher(tmp_path, first, other, second)
    for number, shared in enumerate(("same", "same", "other")):
        launcher.start(build_job(number, shared))
        if number == 0:
            while not scripted.requests:
                pass
    assert finish(events).job.number == 2
    assert [request.job.number for request in scripted.requests] == [0, 2]
    first.lines = report()[:1]
    assert finish(events).job.number == 1
    first.lines = report()[1:]
    assert finish(events).job.number == 0
