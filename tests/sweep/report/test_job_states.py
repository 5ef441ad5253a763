from __future__ import annotations

import pytest

from pipeline.sweep.job import EpochReported, JobEnded, StageBegan
from pipeline.sweep.report.job_states import JobStates, SweepScope
from tests.sweep.report.job_results import make_job, make_repeated, make_result


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def states(clock):
    return JobStates(clock)


def report(number: int, epoch: int, value: float) -> EpochReported:
    return EpochReported(number, epoch, 20, "mAP50-95", value, lambda _: None)


def end(number: int, score: float | None, seconds: float = 60.0, **changes) -> JobEnded:
    return JobEnded(number, make_result(number, score, seconds=seconds, **changes))


def test_a_job_goes_from_waiting_to_how_it_ended(states):
    job = states.start(make_job(0))
    seen = [job.state]
    for event in (
        StageBegan(0, "prepare", True),
        StageBegan(0, "augment", False),
        StageBegan(0, "finetune", False),
        report(0, 1, 0.2),
        report(0, 2, 0.1),
    ):
        states.handle(event)
        seen.append(job.state)
    assert seen == ["waiting", "waiting", "preparing", "training", "training", "training"]
    assert (job.epoch, job.epochs, job.value, job.best) == (2, 20, 0.1, 0.2)
    states.handle(end(0, 0.2, epochs=20))
    assert (job.state, job.epoch, job.score) == ("trained", 20, 0.2)
    assert states.running == []
    assert states.handle(report(7, 1, 0.5)) is None


def test_the_best_so_far_is_of_a_training_that_came_to_its_end(states):
    for number in range(4):
        states.start(make_job(number))
    states.handle(end(0, 0.4))
    states.handle(end(1, 0.9, status="pruned"))
    states.handle(end(2, 0.4))
    states.handle(report(3, 1, 0.8))
    assert states.best.job.number == 0


def test_points_are_done_with_their_last_repetition_or_when_pruned(states):
    states.set_scope(SweepScope(3, repetitions=2))
    states.add_results(make_repeated(0, 0.4, 0.5))
    states.add_results(make_repeated(1, 0.4, 0.5)[:1])
    assert states.count_ended_points() == 1
    pruned = make_repeated(2, 0.1, 0.1, status="pruned")[:1]
    states.add_results(pruned)
    assert states.count_ended_points() == 2
    states.start(make_job(9000, point=0))  # the evaluation of the winner is no point
    assert states.count_ended_points() == 2


def test_the_time_left_follows_jobs_capacity_and_limits(states, clock):
    states.set_scope(SweepScope(5, capacity=2))
    states.start(make_job(0))
    assert states.estimate_seconds_left() is None
    clock.now = 10.0
    states.handle(report(0, 2, 0.1))
    assert states.estimate_seconds_left() == pytest.approx((4 * 100 + 90) / 2)  # by epochs: 100 s a job
    states.handle(end(0, 0.3, seconds=40.0))
    assert states.estimate_seconds_left() == pytest.approx(4 * 40 / 2)
    states.start(make_job(1))
    states.handle(end(1, 0.3, seconds=1.0, status="restored"))  # tells nothing about the others
    assert states.estimate_seconds_left() == pytest.approx(3 * 40 / 2)
    states.set_scope(SweepScope(100, capacity=2, seconds=60.0))
    clock.now = 30.0
    assert states.estimate_seconds_left() == pytest.approx(40.0 + 40.0)  # the last job starts at the limit
    states.set_scope(SweepScope(2, capacity=2))
    assert states.estimate_seconds_left() == 0.0


def test_what_an_earlier_command_lost_is_left_to_be_trained(states):
    states.set_scope(SweepScope(10))
    lost = [make_result(2, None, status="killed"), make_result(3, None, status="failed")]
    states.add_results([make_result(0, 0.3), make_result(1, 0.3), *lost])
    states.start(make_job(2))
    states.handle(end(2, 0.3, seconds=50.0))
    assert states.estimate_seconds_left() == pytest.approx(7 * 50.0)  # job 3, and six new ones


@pytest.mark.parametrize("limit", [1, 5, 12, 200])
def test_a_table_holds_running_jobs_first_then_the_best_then_the_last_ones(states, limit):
    for number in range(200):
        states.start(make_job(number))
        if number not in (50, 120):
            states.handle(end(number, 0.9 if number == 7 else 0.3))
    shown = [state.job.number for state in states.choose_rows(limit)]
    assert shown == sorted(shown)
    assert len(shown) == limit
    wanted = [50, 120, 7, 199]
    assert all(number in shown for number in wanted[: min(limit, 2)])
    assert limit < 6 or set(wanted) <= set(shown)
