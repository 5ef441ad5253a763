"""Mean and standard deviation over the folds of a cross-validation."""

from __future__ import annotations

import pytest

from pipeline.sweep.folds import (
    format_fold_summary,
    select_best_combinations,
    summarize_folds,
    sweeps_folds,
)
from pipeline.sweep.report import describe_results, log_results
from pipeline.sweep.results import SweepJob


class RecordingSession:
    """Keep what a sweep logs to its parent run."""

    def __init__(self) -> None:
        self.metrics, self.curves, self.params, self.tags, self.text = {}, {}, {}, {}, ""

    def log_metrics(self, values, *, step=None):
        for name, value in values.items():
            if step is None:
                self.metrics[name] = value
            else:
                self.curves.setdefault(name, {})[step] = value

    def log_params(self, values):
        self.params |= values

    def set_tags(self, values):
        self.tags |= values

    def set_description(self, markdown):
        self.text = markdown

    def log_table(self, rows, file):
        del rows, file


def make_jobs(*scores: float | None, words: tuple[str, ...] = (), start: int = 0) -> list[SweepJob]:
    return [
        SweepJob(
            start + fold,
            (*words, "data.folds=3", f"data.fold={fold}"),
            f"sweep-{start + fold}",
            "failed" if score is None else "trained",
            score,
            figure=None if score is None else "mAP50-95",
            task=None if score is None else "detect",
        )
        for fold, score in enumerate(scores)
    ]


def log(jobs: list[SweepJob]) -> RecordingSession:
    session = RecordingSession()
    log_results(session, jobs)
    return session


def test_a_sweep_over_folds_is_recognized_by_several_values_of_data_fold():
    assert sweeps_folds(make_jobs(0.4, 0.5))
    assert not sweeps_folds(make_jobs(0.4))
    assert not sweeps_folds([SweepJob(n, (f"seed={n}", "data.fold=1"), "x", "trained", 0.4) for n in (0, 1)])


def test_folds_give_mean_and_standard_deviation_instead_of_a_best_fold():
    jobs = make_jobs(0.4, 0.5, 0.6)
    printed = "\n".join(describe_results(jobs))
    assert "val detect mAP50-95 mean 0.5000, standard deviation 0.1000 (3 folds)" in printed
    assert "best" not in printed
    assert "dvc exp apply" not in printed
    session = log(jobs)
    results = {"jobs": 3, "failed": 0, "mean/mAP50-95": 0.5, "std/mAP50-95": 0.1, "folds": 3}
    assert session.metrics == pytest.approx(results)
    assert session.curves == {"job/mAP50-95": {0: 0.4, 1: 0.5, 2: 0.6}}
    assert (session.params, session.tags) == ({}, {})
    assert "mean 0.5000" in session.text


def test_combinations_with_folds_are_ranked_by_their_mean():
    slow = make_jobs(0.4, 0.5, 0.9, words=("finetune.lr0=0.001",))
    fast = make_jobs(0.65, 0.7, 0.75, words=("finetune.lr0=0.01",), start=3)
    first, second = summarize_folds([*slow, *fast])
    assert (first.overrides[0], first.mean, first.std) == (
        "finetune.lr0=0.01",
        pytest.approx(0.7),
        pytest.approx(0.05),
    )
    assert second.mean == pytest.approx(0.6)
    printed = "\n".join(describe_results([*slow, *fast]))
    assert (
        "best mean: finetune.lr0=0.01 data.folds=3; train it with `dvc exp run -S finetune.lr0=0.01"
        in printed
    )
    session = log([*slow, *fast])
    assert session.metrics["best/mAP50-95"] == pytest.approx(0.7)
    assert session.params["best"]["finetune.lr0"] == "0.01"
    assert session.curves["mean/mAP50-95"] == pytest.approx({0: 0.7, 1: 0.6})
    assert session.curves["folds"] == {0: 3, 1: 3}


def test_a_combination_with_a_failed_fold_is_not_the_best_and_one_fold_has_no_spread():
    whole = make_jobs(0.4, 0.4, 0.4, words=("seed=1",))
    part = make_jobs(0.9, None, None, words=("seed=2",), start=3)
    first, last = summarize_folds([*part, *whole])
    assert first.overrides[0] == "seed=1"
    assert last.std is None
    assert format_fold_summary(last).endswith("mean 0.9000 (1 of 3 folds)")
    assert [row.overrides[0] for row in select_best_combinations([first, last])] == ["seed=1"]
    assert summarize_folds(make_jobs(None, None)) == []
    assert "std/mAP50-95" in log([*part, *whole]).curves


def test_other_sweeps_name_the_best_job():
    jobs = [SweepJob(n, (f"seed={n}",), f"sweep-{n}", "trained", n / 10, figure="top1") for n in (1, 2)]
    assert "best: take it into the workspace with `dvc exp apply sweep-2`" in describe_results(jobs)
    session = log(jobs)
    assert session.metrics["best/top1"] == 0.2
    assert session.tags["finetrack.best"] == "sweep-2"
