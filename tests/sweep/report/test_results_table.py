from __future__ import annotations

import json
import math
import re

from pipeline.sweep.job import JobResult
from pipeline.sweep.report.results_file import build_job_rows, write_results_file
from pipeline.sweep.report.results_table import describe_sweep, format_points_table
from pipeline.sweep.study.pruning_summary import PruningSummary
from tests.sweep.report.job_results import make_job, make_repeated, make_result, summarize


def split_table(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in text.splitlines()]


def describe(*results: JobResult, **changes) -> str:
    config_name = changes.pop("config_name", None)
    return "\n".join(describe_sweep(summarize(*results, **changes), config_name=config_name))


def test_the_table_puts_the_best_first_and_what_failed_last_with_its_reason():
    results = [
        make_result(0, 0.4),
        make_result(1, None, reason="CUDA out of memory"),
        make_result(2, 0.5, status="restored"),
        make_result(3, 0.9, status="pruned", epochs=3, reason="behind"),
        make_result(4, None, status="killed", reason="stopped by SIGINT"),
    ]
    assert split_table(format_points_table(summarize(*results))) == [
        ["job", "val mAP50-95", "status", "experiment", "time", "what differs"],
        ["2", "0.5000", "restored", "rates-2", "60 s", "lr0=3e-3"],
        ["0", "0.4000", "trained", "rates-0", "60 s", "lr0=1e-3"],
        ["1", "-", "failed", "rates-1", "60 s", "lr0=2e-3: CUDA out of memory"],
        ["3", "-", "pruned in epoch 3", "rates-3", "60 s", "lr0=4e-3"],
        ["4", "-", "killed", "rates-4", "60 s", "lr0=5e-3: stopped by SIGINT"],
    ]


def test_repetitions_are_one_row_and_the_failed_ones_are_named_below():
    results = [*make_repeated(0, 0.4, 0.5), *make_repeated(1, 0.9, None, reason="boom")]
    printed = describe(*results, repetitions=2)
    head, first, second = split_table(format_points_table(summarize(*results, repetitions=2)))
    assert head == ["point", "val mAP50-95", "std", "jobs", "status", "time", "what differs"]
    assert first == ["0", "0.4500", "0.0707", "2/2", "trained", "2 min", "lr0=1e-3"]
    assert second == ["1", "0.9000", "-", "1/2", "failed", "2 min", "lr0=2e-3"]
    assert "job 3 (point 1, rates-3) failed: boom" in printed
    assert "best: lr0=1e-3: val mAP50-95 mean 0.4500, standard deviation 0.0707 (2 seeds)" in printed
    assert "take its first training into the workspace: `dvc exp apply rates-0`" in printed


def test_the_next_steps_apply_the_evaluated_winner_and_train_it_again_by_its_file():
    printed = describe(
        make_result(0, 0.4),
        make_result(1, 0.5, job=make_job(1, overrides=("finetune.lr0=2e-3", "~tracking.tags.line"))),
        config_name="rates",
        test="test mAP50-95 0.4411",
        winner_experiment="rates-best",
    )
    assert "best: lr0=2e-3: val mAP50-95 0.5000\ntest mAP50-95 0.4411\n" in printed
    assert "`dvc exp apply rates-best`" in printed
    assert "`dvc exp run -S +experiment=rates -S '~tracking.tags.line'`" in printed


def test_after_a_cross_validation_the_winner_is_trained_without_folds():
    results = [row for point in range(2) for row in make_repeated(point, 0.4, 0.5, word="fold")]
    printed = describe(*results, repetitions=2)
    assert "(2 folds)" in printed
    assert "dvc exp apply" not in printed
    assert "train it without folds: `dvc exp run -S finetune.lr0=1e-3`" in printed


def test_several_kinds_of_scores_have_a_best_each():
    printed = describe(make_result(0, 0.4, task="obb"), make_result(1, 0.9, task="classify", metric="top1"))
    assert "obb mAP50-95 0.4000" in printed
    assert "best by obb mAP50-95: lr0=1e-3" in printed
    assert "take it into the workspace (classify top1): `dvc exp apply rates-1`" in printed


def test_the_pareto_front_names_each_of_its_points():
    results = [make_result(n, 0.4 + n / 10, more={"milliseconds": 4.0 + n}) for n in range(2)]
    printed = describe(*results, objectives=("mAP50-95", "milliseconds"))
    assert "2 points are on the Pareto front (most mAP50-95 and least milliseconds)" in printed
    assert "lr0=2e-3: mAP50-95 0.5, milliseconds 5: `dvc exp apply rates-1`" in printed
    assert "milliseconds" in printed.splitlines()[1]


def test_a_sweep_without_a_best_says_why():
    assert "no training came to its end" in describe(make_result(0, None))
    assert "no point has all of its repetitions" in describe(*make_repeated(0, 0.4, None), repetitions=2)
    slow = make_result(0, 0.4, more={"milliseconds": 9.0})
    printed = describe(slow, constraints=("milliseconds <= 5",))
    assert "no point keeps the constraints" in printed
    assert "not allowed" in printed
    assert describe() == "no job has ended"


def test_equal_trainings_savings_and_notes_are_told():
    same = [make_result(number, 0.4, status="restored", run_id="one") for number in range(2)]
    printed = describe(*same, savings=PruningSummary(2, 1, 30, 125.0), notes=("a note",))
    assert "jobs 0, 1 are one training" in printed
    saved = "pruning: 2 trainings were ended early, 1 more were not started: 30 epochs less, about 2 min"
    assert saved in printed
    assert "a note" in printed


def test_results_json_holds_all_jobs_and_numbers_that_json_has(tmp_path):
    results = (make_result(1, 0.5, more={"loss": math.nan}), make_result(0, None, reason="boom"))
    summary = summarize(*results)
    rows = build_job_rows(results)
    assert [(row["job"], row["status"], row["score"], row["reason"]) for row in rows] == [
        (0, "failed", None, "boom"),
        (1, "trained", 0.5, None),
    ]
    assert rows[1]["loss"] is None
    content = json.loads(write_results_file(tmp_path, summary).read_text())
    assert content["jobs"] == rows
    assert [best["experiment"] for best in content["best"]] == ["rates-1"]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
