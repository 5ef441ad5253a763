"""`finetrack compare`: the table, JSON, the page, and the run in MLflow."""

from __future__ import annotations

import json

import pytest

from pipeline.__main__ import main
from pipeline.tracking.store.client import MlflowClientCache
from tests.comparison.conftest import TARGET

FEW = ["--resamples", "300"]


@pytest.fixture(autouse=True)
def _in_the_project(runs):
    return runs


def test_the_better_model_is_named_and_all_is_logged(capsys, tmp_path):
    page = tmp_path / "page.html"
    assert main(["compare", "plain", "fast", "plain-1", *FEW, "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("A  plain (2 seeds)\nB  fast\n")
    assert "fast is better: +0." in shown
    assert "finetune.lr0" in shown
    assert max(map(len, shown.splitlines()[:-2])) <= 80
    assert "fast is better: +0." in page.read_text()

    client = MlflowClientCache(TARGET).client
    experiment = client.get_experiment_by_name(TARGET.experiment)
    (run,) = client.search_runs([experiment.experiment_id], "tags.`finetrack.kind` = 'compare'")
    assert run.info.run_name == "compare plain (2 seeds) fast"
    assert run.info.status == "FINISHED"
    assert run.data.metrics["difference/mAP50-95"] > 0.05
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"compare.html", "compare.json"}


def test_json_has_everything_and_nothing_else_is_printed(capsys, runs):
    assert main(["compare", "plain", "fast", *FEW, "--json", "--unlogged"]) == 0
    found = json.loads(capsys.readouterr().out)
    (comparison,) = found["comparisons"]
    assert comparison["verdict"] == "better"
    assert comparison["main"]["low"] > 0
    assert {row["name"] for row in comparison["classes"]} == {"disc", "square", "bar"}
    assert [model["trainings"][0]["run"] for model in found["models"]] == [runs["plain"], runs["fast"]]
    assert [found["test"][name] for name in ("data", "images", "groups")] == ["d" * 64, 40, 40]


def test_more_models_than_letters_are_refused_before_the_work(capsys, tmp_path):
    files = [tmp_path / f"{number}.pt" for number in range(27)]
    for number, file in enumerate(files):
        file.write_text(str(number))
    assert main(["compare", *map(str, files)]) == 1
    assert "27 models are too many" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plain"], "name two or more"),
        (["plain", "plain"], "the same model"),
        (["plain", "no-such-run"], "no-such-run"),
        (["plain", "fast", "--resamples", "10"], "200 or more"),
        (["plain", "fast", "--on", "no-such-revision"], "no-such-revision"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(words, message, capsys):
    assert main(["compare", *words]) == 1
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
