"""Number of threads for streams of loads and step times: seconds are simulated, nothing runs."""

from __future__ import annotations

import pytest

from pipeline.runtime.cpu_load import CpuLoad
from pipeline.runtime.thread_controller import FIRST_HOLD, ThreadController

SAMPLE = 0.5


class Simulation:
    """Feeds a controller, and notes each change of its number."""

    def __init__(self, *, most: int, cores: int | None = None) -> None:
        self.controller = ThreadController(most=most, cores=cores or most)
        self.now, self.changes = 0.0, [(0.0, most)]

    def load(self, seconds: float, others: float, waiting: float | None = None) -> int:
        for _ in range(round(seconds / SAMPLE)):
            self.now += SAMPLE
            self.controller.observe_load(CpuLoad(others, waiting), self.now)
            self._note()
        return self.controller.threads

    def steps(self, *seconds: float) -> int:
        for each in seconds:
            self.now += each
            self.controller.observe_step(each, threads=self.controller.threads, now=self.now)
            self._note()
        return self.controller.threads

    def _note(self) -> None:
        if self.changes[-1][1] != self.controller.threads:
            self.changes.append((self.now, self.controller.threads))


@pytest.mark.parametrize(
    ("most", "cores", "others", "expected"),
    [
        (2, 2, 0.0, 2),
        (2, 2, 0.4, 2),
        (2, 2, 0.5, 1),
        (2, 2, 1.0, 1),
        (2, 2, 2.0, 1),
        (1, 1, 1.0, 1),
        (4, 4, 0.3, 3),
        (4, 8, 3.0, 4),
        (8, 8, 0.1, 8),
        (8, 8, 1.0, 7),
        (8, 8, 2.9, 5),
        (8, 8, 40.0, 1),
        (64, 64, 0.4, 64),
        (64, 64, 10.0, 54),
    ],
)
def test_start_and_load_give_as_many_threads_as_there_are_free_cores(most, cores, others, expected):
    started = ThreadController(most=most, cores=cores)
    started.start(CpuLoad(others))
    assert started.threads == expected
    assert Simulation(most=most, cores=cores).load(10, others) == expected


@pytest.mark.parametrize("others", [0.0, 0.3])
def test_without_other_work_the_number_never_changes(others):
    quiet = Simulation(most=2)
    for epoch in range(20):
        quiet.load(30, others, waiting=0.01)
        quiet.steps(*[0.5 + 0.1 * (epoch % 3)] * 10, 0.9)
    assert quiet.changes == [(0.0, 2)]


def test_a_busy_process_is_answered_within_two_seconds_and_its_end_after_a_while():
    one = Simulation(most=2)
    one.load(30, 0.0)
    one.load(30, 1.0)
    one.load(30, 0.0)
    (_, _), (down, fewer), (up, more) = one.changes
    assert (fewer, more) == (1, 2)
    assert down - 30 <= 2
    assert FIRST_HOLD <= up - 60 <= FIRST_HOLD + 2


def test_a_short_burst_changes_nothing():
    burst = Simulation(most=2)
    for _ in range(20):
        burst.load(10, 0.0)
        burst.load(0.5, 1.0)
    assert burst.changes == [(0.0, 2)]


def test_load_that_comes_and_goes_makes_it_wait_longer_each_time():
    swinging = Simulation(most=2)
    for _ in range(100):
        swinging.load(12, 1.0)
        swinging.load(12, 0.0)
    assert len(swinging.changes) <= 6
    assert swinging.controller.threads == 1
    assert swinging.load(1000, 0.0) == 2


def test_after_a_long_quiet_time_it_does_not_wait_longer():
    calm = Simulation(most=2)
    for _ in range(3):
        calm.load(10, 1.0)
        assert calm.load(120, 0.0) == 2
    assert len(calm.changes) == 7


@pytest.mark.parametrize(
    ("others", "waiting", "expected"),
    [(0.0, 1.0, 2), (0.1, 1.0, 2), (0.2, 1.0, 1), (0.2, 0.1, 2), (0.2, None, 2)],
)
def test_threads_that_wait_for_a_core_count_where_others_are_at_work(others, waiting, expected):
    """Without others, threads of this process wait for one another: as while a model is saved and sent."""
    assert Simulation(most=2).load(10, others, waiting) == expected


def test_freed_cores_are_taken_by_halves():
    many = Simulation(most=8)
    many.load(5, 7.0)
    many.load(60, 0.0)
    assert [threads for _, threads in many.changes] == [8, 1, 5, 7, 8]


@pytest.mark.parametrize("cores", [2, 3, 4, 8])
def test_two_trainings_at_a_time_share_the_cores(cores):
    """Each measures what the other one gets; together they settle at no more threads than cores."""
    both = [Simulation(most=cores) for _ in range(2)]
    totals = []
    for _ in range(1200):
        counts = [each.controller.threads for each in both]
        share = min(1.0, cores / sum(counts))
        both[0].load(SAMPLE, counts[1] * share)
        both[1].load(SAMPLE, counts[0] * share)
        totals.append(sum(each.controller.threads for each in both))
    assert sum(total > cores for total in totals[600:]) < 30
    assert min(totals[600:]) >= min(cores, 2)


def test_more_threads_that_are_not_faster_are_taken_back_and_tried_later_again():
    hidden = Simulation(most=2)  # the load is not seen, as in some containers
    hidden.load(5, 1.0)
    hidden.steps(*[1.0] * 5)
    hidden.load(7, 0.0)
    assert hidden.controller.threads == 2
    assert hidden.steps(10.0, 10.0) == 1  # the first step after a change does not count
    assert hidden.load(FIRST_HOLD + 2, 0.0) == 1
    assert hidden.load(FIRST_HOLD + 2, 0.0) == 2


def test_more_threads_that_are_faster_stay():
    free = Simulation(most=2)
    free.load(5, 1.0)
    free.steps(*[1.0] * 5)
    free.load(7, 0.0)
    assert free.steps(9.0, *[0.6] * 20) == 2  # the first step after a change does not count


def test_a_change_upwards_is_measured_before_the_next_one():
    many = Simulation(most=8)
    many.load(5, 7.0)
    many.steps(*[1.0] * 5)
    assert many.load(60, 0.0) == 5
    many.steps(*[0.3] * 5)
    assert many.load(10, 0.0) == 7


def test_a_change_that_the_load_takes_back_is_not_measured_any_more():
    early = Simulation(most=2)
    early.load(5, 1.0)
    early.steps(*[1.0] * 5)
    assert early.load(7, 0.0) == 2
    assert early.load(2, 1.0) == 1
    early.steps(*[1.0] * 5)
    assert early.load(2 * FIRST_HOLD + 2, 0.0) == 2  # it doubled once


@pytest.mark.parametrize(("with_fewer", "expected"), [(0.9, 1), (11.0, 2)])
def test_slow_steps_are_tried_with_fewer_threads_where_no_load_is_seen(with_fewer, expected):
    slow = Simulation(most=2)
    slow.steps(*[0.5] * 20)
    assert slow.steps(10.0, 10.0) == 2
    assert slow.steps(10.0) == 1
    assert slow.steps(*[with_fewer] * 4) == expected


def test_one_slow_step_or_slower_work_in_a_new_epoch_changes_nothing():
    other = Simulation(most=2)
    other.steps(*[0.5] * 20, 9.0, *[0.5] * 5)
    other.controller.forget_steps()
    other.steps(*[2.0] * 20)
    assert other.changes == [(0.0, 2)]


def test_a_step_with_another_number_does_not_count():
    mixed = Simulation(most=2)
    mixed.load(5, 1.0)
    mixed.steps(*[1.0] * 5)
    mixed.load(7, 0.0)
    for _ in range(9):
        mixed.controller.observe_step(9.0, threads=1, now=mixed.now)
    assert mixed.controller.threads == 2
