from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.study.objectives import (
    compute_means,
    compute_violation,
    is_minimized,
    list_measured_metrics,
    parse_constraint,
)

JOB = SweepJob(0, 0, 0, (), "", "")


def build(metrics, **options):
    return JobResult(JOB, "trained", metrics, "mAP50-95", **options)


@pytest.mark.parametrize(
    ("metric", "minimized"),
    [
        ("mAP50-95", False),
        ("top1", False),
        ("", False),
        ("milliseconds", True),
        ("parameters", True),
        ("seconds", True),
        ("val/box_loss", True),
        ("overfitting/gap", True),
    ],
)
def test_costs_are_minimized(metric, minimized):
    assert is_minimized(metric) is minimized


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("milliseconds <= 20", 20, True),
        ("milliseconds<20", 20, False),
        ("milliseconds < 2e1", 19.9, True),
        ("recall >= 0.5", 0.5, True),
        (" recall>0.5 ", 0.5, False),
        ("recall >= 0.5", 0.4, False),
    ],
)
def test_constraints_hold_up_to_their_limit(text, value, holds):
    assert (compute_violation(parse_constraint(text), value) <= 0) is holds


@pytest.mark.parametrize(
    "text",
    ["milliseconds", "milliseconds == 3", "milliseconds <= x", "milliseconds <= nan", "<= 3", "a b <= 1"],
)
def test_other_constraints_are_refused(text):
    with pytest.raises(UserError, match=r"sweep\.constraints"):
        parse_constraint(text)


def test_an_unknown_metric_is_refused_with_a_near_one():
    with pytest.raises(UserError, match="did you mean milliseconds"):
        parse_constraint("miliseconds <= 3")


def test_metrics_to_measure_are_those_that_are_named():
    assert list_measured_metrics(("mAP50-95", "parameters"), ("milliseconds <= 3",)) == (
        "milliseconds",
        "parameters",
    )
    assert list_measured_metrics((), ()) == ()


def test_means_are_over_all_repetitions():
    results = [build({"mAP50-95": 0.25}, seconds=4.0), build({"mAP50-95": 0.75}, seconds=6.0)]
    assert compute_means(results, ("", "seconds")) == [0.5, 5.0]


@pytest.mark.parametrize("metrics", [{}, {"mAP50-95": float("nan")}])
def test_a_missing_value_is_no_value(metrics):
    with pytest.raises(UserError, match="job 0 has no mAP50-95"):
        compute_means([build({"mAP50-95": 1.0}), build(metrics)], ("",))
