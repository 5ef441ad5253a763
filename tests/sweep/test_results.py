from __future__ import annotations

import re

import pytest

from pipeline.sweep.report import describe_results
from pipeline.sweep.results import (
    SweepJob,
    describe_metric,
    format_jobs_table,
    group_equal_jobs,
    list_failed_jobs,
    parse_overrides,
    select_best_jobs,
    select_main_metric,
)

GOOD = SweepJob(0, ("finetune.lr0=0.001",), "sweep-0", "trained", 0.4, "run")
BETTER = SweepJob(2, ("finetune.lr0=0.01",), "sweep-2", "restored", 0.5, "other")
LOST = SweepJob(1, ("finetune.lr0=7",), "sweep-1", "failed", reason="too high")


def test_the_best_has_the_highest_score_and_of_equals_comes_first():
    assert select_best_jobs([GOOD, LOST, BETTER]) == [BETTER]
    assert select_best_jobs([SweepJob(3, (), "x", "trained", 0.4), GOOD]) == [GOOD]
    assert select_best_jobs([SweepJob(3, (), "x", "trained", 0.0), LOST])[0].number == 3
    assert select_best_jobs([LOST]) == []


def test_jobs_that_share_one_training_have_no_best():
    same = [SweepJob(number, (f"data.sizes={number}",), "x", "restored", 0.4, "one") for number in range(2)]
    assert group_equal_jobs([*same, GOOD]) == [same]
    assert select_best_jobs(same) == []
    assert select_best_jobs([*same, BETTER]) == [BETTER]
    assert select_best_jobs(same[:1]) == same[:1]
    (line,) = (line for line in describe_results(same) if "one training" in line)
    assert line.startswith("jobs 0, 1 ")
    assert not any("dvc exp apply" in line for line in describe_results(same))
    unknown = [SweepJob(number, (), "x", "trained", 0.4) for number in range(2)]
    assert group_equal_jobs(unknown) == []
    assert select_best_jobs(unknown) == unknown[:1]


def test_the_table_puts_the_best_first_and_what_failed_last_with_its_reason():
    head, first, second, last = format_jobs_table([GOOD, LOST, BETTER]).splitlines()
    assert head.split() == ["job", "val", "mAP50-95", "status", "experiment", "overrides"]
    assert first.split() == ["2", "0.5000", "restored", "sweep-2", "finetune.lr0=0.01"]
    assert second.startswith("0 ")
    assert last.split(maxsplit=4) == ["1", "-", "failed", "sweep-1", "finetune.lr0=7: too high"]
    assert list_failed_jobs([GOOD, LOST]) == [LOST]


@pytest.mark.parametrize(
    ("val", "figure"),
    [
        ({"precision": 0.9, "mAP50": 0.8, "mAP50-95": 0.5}, "mAP50-95"),
        ({"fitness": 0.7, "mAP50-95": 0.4, "mask/mAP50": 0.6, "mask/mAP50-95": 0.5}, "mask/mAP50-95"),
        ({"fitness": 0.7, "mAP50-95": 0.4, "pose/mAP50-95": 0.5}, "pose/mAP50-95"),
        ({"top5": 1.0, "top1": 0.5}, "top1"),
    ],
)
def test_a_job_is_judged_by_its_tasks_own_figure(val, figure):
    assert select_main_metric(val) == (figure, 0.5)
    head = format_jobs_table([SweepJob(0, (), "x", "trained", 0.5, figure=figure), LOST]).splitlines()[0]
    assert head.split()[:3] == ["job", "val", figure]


def test_jobs_of_several_tasks_are_compared_with_their_like_alone():
    scores = {"obb": 0.4, "detect": 0.7, "classify": 0.9}
    figures = {"obb": "mAP50-95", "detect": "mAP50-95", "classify": "top1"}
    made = [
        SweepJob(
            number, (), f"sweep-{number}", "trained", scores[task] + more, task=task, figure=figures[task]
        )
        for number, (task, more) in enumerate([("obb", 0), ("detect", 0), ("obb", 0.1), ("classify", 0)])
    ]
    assert [job.number for job in select_best_jobs([*made, LOST])] == [2, 1, 3]
    assert [describe_metric(job) for job in made[1:]] == ["detect mAP50-95", "obb mAP50-95", "classify top1"]
    head, *rows = format_jobs_table([*made, LOST]).splitlines()
    assert head.split() == ["job", "val", "status", "experiment", "overrides"]
    assert [re.split(" {2,}", row)[:2] for row in rows] == [
        ["2", "obb mAP50-95 0.5000"],
        ["0", "obb mAP50-95 0.4000"],
        ["1", "detect mAP50-95 0.7000"],
        ["3", "classify top1 0.9000"],
        ["1", "-"],
    ]


def test_what_no_task_is_judged_by_is_no_score():
    assert select_main_metric({"loss": 0.5}) is None


def test_the_changes_of_a_job_by_key_also_where_it_takes_a_key_away():
    words = ("seed=1", "+tracking.tags.a=b=c", "++model.name=x", "~tracking.tags.d", "~data=demo")
    assert parse_overrides(words) == {
        "seed": "1",
        "tracking.tags.a": "b=c",
        "model.name": "x",
        "tracking.tags.d": "(deleted)",
        "data": "(deleted)",
    }
