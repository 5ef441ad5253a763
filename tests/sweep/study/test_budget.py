from __future__ import annotations

import pytest

from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.study.budget import BudgetClock, plan_budget
from pipeline.sweep.study.points import StudyPoint
from pipeline.sweep.study.pruning_summary import PruningSummary, summarize_pruning

JOB = SweepJob(0, 0, 0, (), "", "")


@pytest.mark.parametrize(
    ("hours", "seconds", "capacity", "repetitions", "points"),
    [
        (2, (600, 600), 1, 1, 12),
        (2, (600, 660), 1, 1, 11),
        (2, (600, 600), 4, 1, 48),
        (2, (600, 600), 2, 3, 8),
        (0.1, (600, 600), 1, 1, 1),
        (1, (3600, 3600), 1, 5, 1),
    ],
)
def test_as_many_points_as_fit_are_planned(hours, seconds, capacity, repetitions, points):
    job, used = seconds
    plan = plan_budget(hours, job_seconds=job, used_seconds=used, capacity=capacity, repetitions=repetitions)
    assert plan.points == points
    assert f"about {points} point" in plan.sentence


@pytest.mark.parametrize(
    ("done", "limit", "repetitions", "points"),
    [(0, None, 1, 12), (7, None, 1, 19), (7, None, 3, 11), (7, 10, 1, 10), (0, 30, 1, 12), (7, 30, 1, 19)],
)
def test_the_points_of_earlier_commands_are_planned_beside_those_of_this_one(
    done, limit, repetitions, points
):
    clock = BudgetClock(SweepSettings(hours=2.0), done=done, limit=limit)
    assert clock.plan(capacity=1, repetitions=repetitions) is None
    clock.add_result(JobResult(JOB, "trained", seconds=640.0))
    assert clock.plan(capacity=1, repetitions=repetitions).points == points


def test_pruning_saves_the_epochs_that_were_left():
    pruned = StudyPoint(1, {}, "pruned", (JobResult(JOB, "pruned", epochs=4, seconds=40.0),), epochs=20)
    unknown = pruned._replace(epochs=None)
    whole = StudyPoint(0, {}, "complete", (JobResult(JOB, "trained", epochs=10, seconds=100.0),))
    assert summarize_pruning([whole, pruned], 1) == PruningSummary(1, 0, 16, 160.0)
    assert summarize_pruning([whole, unknown], 1) == PruningSummary(1, 0, 6, 60.0)
    assert summarize_pruning([whole, pruned], 3) == PruningSummary(1, 2, 56, 560.0)
    assert summarize_pruning([unknown], 1) == PruningSummary(1, 0, 0, 0.0)
    early = pruned._replace(
        results=(JobResult(JOB, "pruned", epochs=1, seconds=60.0),)
    )  # its start took 50 s
    assert summarize_pruning([whole, early], 1) == PruningSummary(1, 0, 19, 190.0)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [({}, None), ({"timeout": 1e-9}, "sweep.timeout=1e-09"), ({"hours": 1e-15}, "sweep.hours=1e-15")],
)
def test_the_setting_whose_time_is_used_up_is_named(settings, setting):
    assert BudgetClock(SweepSettings(**settings)).find_used_setting() == setting


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({}, None), ({"timeout": 100.0}, 100.0), ({"hours": 1.0, "timeout": 9000.0}, 3600.0)],
)
def test_the_time_left_is_that_of_the_nearest_limit(settings, seconds):
    left = BudgetClock(SweepSettings(**settings)).seconds_left
    assert left == (None if seconds is None else pytest.approx(seconds, abs=5.0))
