from __future__ import annotations

import pytest

from pipeline.sweep.job import JobResult
from pipeline.sweep.report.points import group_equal_jobs, parse_overrides
from tests.sweep.report.job_results import make_job, make_repeated, make_result, summarize


def best_numbers(*results: JobResult, **changes) -> list[int]:
    return [point.number for point in summarize(*results, **changes).best]


def test_the_best_has_the_highest_score_and_of_equals_comes_first():
    assert best_numbers(make_result(0, 0.4), make_result(1, 0.5), make_result(2, 0.5)) == [1]
    assert best_numbers(make_result(3, 0.0), make_result(4, None)) == [3]
    assert best_numbers(make_result(0, None)) == []
    assert summarize(make_result(0, 0.4)).winner.number == 0


@pytest.mark.parametrize("status", ["pruned", "failed", "killed"])
def test_a_training_that_did_not_end_is_not_the_best_whatever_it_measured(status):
    assert best_numbers(make_result(0, 0.9, status=status), make_result(1, 0.1)) == [1]


def test_points_are_ranked_by_their_mean_and_a_point_that_lacks_a_repetition_is_not_the_best():
    steady, lucky = make_repeated(0, 0.5, 0.5, 0.5), make_repeated(1, 0.9, 0.2, 0.2)
    assert best_numbers(*steady, *lucky, repetitions=3) == [0]
    failed = make_repeated(2, 0.9, None, 0.9)
    assert best_numbers(*steady, *failed, repetitions=3) == [0]
    assert best_numbers(*steady, *make_repeated(3, 0.9, 0.9), repetitions=3) == [0]
    point = summarize(*lucky, repetitions=3).points[0]
    assert (point.mean, point.spread) == (pytest.approx(0.4333, abs=1e-4), pytest.approx(0.4041, abs=1e-4))
    assert summarize(make_result(0, 0.5)).points[0].spread is None


def test_a_point_stands_for_a_training_with_the_base_seed_and_without_folds():
    (seeds,) = summarize(*make_repeated(0, 0.4, 0.5), repetitions=2).points
    assert (seeds.overrides, seeds.label) == (("finetune.lr0=1e-3",), "lr0=1e-3")
    (folds,) = summarize(*make_repeated(0, 0.4, 0.5, word="fold"), repetitions=2).points
    assert (folds.overrides, folds.label, folds.has_folds) == (("finetune.lr0=1e-3",), "lr0=1e-3", True)
    one_fold = make_job(0, overrides=("data.folds=3", "data.fold=1"))
    assert summarize(make_result(0, 0.4, job=one_fold)).points[0].overrides == one_fold.overrides
    (pruned, _) = make_repeated(0, 0.4, 0.5)
    assert summarize(pruned, repetitions=2).points[0].label == "lr0=1e-3"


def test_only_scores_of_one_kind_are_compared():
    kinds = [("obb", "mAP50-95", 0.4), ("detect", "mAP50-95", 0.7), ("classify", "top1", 0.9)]
    results = [
        make_result(number, score, task=task, metric=metric)
        for number, (task, metric, score) in enumerate(kinds)
    ]
    better = make_result(3, 0.5, task="obb")
    summary = summarize(*results, better)
    assert [point.number for point in summary.best] == [3, 1, 2]
    assert summary.winner is None


def test_points_that_share_one_training_have_no_best():
    same = [make_result(number, 0.4, status="restored", run_id="one") for number in range(2)]
    assert [[row.job.number for row in group] for group in group_equal_jobs(same)] == [[0, 1]]
    assert best_numbers(*same) == []
    assert best_numbers(*same, make_result(2, 0.5)) == [2]
    assert best_numbers(make_result(0, 0.4, run_id=None), make_result(1, 0.4, run_id=None)) == [0]


def test_an_objective_decides_in_its_own_direction_and_several_give_the_pareto_front():
    results = [make_result(n, 0.4 + n / 10, more={"milliseconds": ms}) for n, ms in enumerate((4, 3, 9, 9))]
    assert best_numbers(*results, objectives=("milliseconds",)) == [1]
    front = summarize(*results, objectives=("mAP50-95", "milliseconds"))
    assert [point.number for point in front.best] == [1, 3]
    assert front.winner is None
    without = make_result(4, 0.9)  # its milliseconds were not measured
    assert best_numbers(*results, without, objectives=("mAP50-95", "milliseconds")) == [1, 3]


def test_a_point_beyond_a_constraint_is_not_the_best():
    results = [make_result(n, 0.4 + n / 10, more={"milliseconds": 10.0 * n}) for n in range(3)]
    assert best_numbers(*results, constraints=("milliseconds <= 10",)) == [1]
    assert best_numbers(*results, constraints=("milliseconds < 0",)) == []
    unknown = make_result(3, 0.9)
    assert best_numbers(*results, unknown, constraints=("milliseconds <= 10",)) == [1]


def test_passwords_are_not_shown():
    summary = summarize(make_result(0, 0.4))
    assert summary.shown_command == summary.command
    secret = "finetrack sweep seed=1,2 sweep.storage=postgresql://me:secret@host/db"
    shown = type(summary)("rates", secret, ()).shown_command
    assert "secret" not in shown
    assert "host/db" in shown


def test_the_changes_of_a_job_by_key_also_where_it_takes_a_key_away():
    words = ("seed=1", "+tracking.tags.a=b=c", "++model.name=x", "~tracking.tags.d", "~data=demo")
    assert parse_overrides(words) == {
        "seed": "1",
        "tracking.tags.a": "b=c",
        "model.name": "x",
        "tracking.tags.d": "(deleted)",
        "data": "(deleted)",
    }
