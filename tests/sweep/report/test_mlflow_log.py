from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from pipeline.sweep.report import mlflow_log
from pipeline.sweep.report.best_config import BestConfig
from pipeline.sweep.report.mlflow_log import SweepLog, describe_space
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace
from pipeline.sweep.study.pictures.draw_pictures import StudyPictures, draw_pictures
from pipeline.sweep.study.points import StudyPoint
from pipeline.sweep.study.pruning_summary import PruningSummary
from tests.sweep.report.job_results import make_job, make_repeated, make_result, summarize

SPACE = SearchSpace(
    ("data=demo",),
    (
        SearchAxis("finetune.lr0", low=1e-5, high=1e-2, log=True),
        SearchAxis("augment", ("none", "</script><script>alert(1)</script>")),
    ),
)
CONFIG = BestConfig("rates", "finetune: {lr0: 0.002}\n", ("+experiment=rates",))


class RecordedRun:
    """Keeps what a sweep logs to its parent run."""

    def __init__(self) -> None:
        self.metrics, self.curves, self.params, self.tags, self.files, self.text = {}, {}, {}, {}, {}, ""

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
        self.files[file] = rows

    def log_text(self, content, file):
        self.files[file] = content

    def log_artifact(self, path: Path, *, folder=""):
        self.files[f"{folder}/{path.name}"] = path.read_bytes()


@pytest.fixture
def run():
    return RecordedRun()


def test_the_run_has_space_results_best_and_counts(run):
    log = SweepLog(run, SPACE)
    log.log_plan(SPACE, SweepSettings(seeds=2, storage="postgresql://me:secret@host/db"))
    results = [make_result(0, 0.4), make_result(1, None, reason="boom"), make_result(2, 0.5)]
    for count, result in enumerate(results, 1):
        log.log_result(result, summarize(*results[:count]))
    pruned = make_result(3, None, status="pruned", epochs=3)
    savings = PruningSummary(1, 0, 17, 80.0)
    log.log_end(
        summarize(*results, pruned, savings=savings, test_metrics={"best/test/mAP50-95": 0.3}), CONFIG
    )

    assert run.params["space"]["finetune.lr0"] == "1e-05 to 0.01, on a logarithmic scale"
    assert (run.params["fixed"], run.params["sweep"]) == ({"data": "demo"}, {"seeds": 2})
    assert json.loads(run.tags["finetrack.sweep.settings"])["seeds"] == 2
    assert "secret" not in str(vars(run))
    assert run.curves == {"job/mAP50-95": {0: 0.4, 2: 0.5}}
    counts = {"points": 4, "jobs": 4, "trained": 2, "restored": 0, "pruned": 1, "failed": 1, "killed": 0}
    measured = {"best/mAP50-95": 0.5, "best/test/mAP50-95": 0.3, "saved/epochs": 17, "saved/seconds": 80.0}
    assert run.metrics == {**counts, **measured}
    best = {name: value for name, value in run.tags.items() if name.startswith("finetrack.best")}
    assert best == {
        "finetrack.best": "rates-2",
        "finetrack.best.run": "run-2",
        "finetrack.best.overrides": "finetune.lr0=3e-3",
        "finetrack.best.test": "not scored",
    }
    assert run.files["best.yaml"] == CONFIG.text
    assert [row["status"] for row in run.files["jobs.json"]] == ["trained", "failed", "trained", "pruned"]
    for part in ("**Best**", "val mAP50-95 0.5000", "`dvc exp apply rates-2`", "- `augment`:", "1 failed"):
        assert part in run.text


def test_a_point_with_repetitions_is_logged_with_its_spread(run):
    results = make_repeated(0, 0.4, 0.6)
    SweepLog(run, SPACE).log_end(summarize(*results, repetitions=2), None)
    assert run.metrics["best/mAP50-95"] == pytest.approx(0.5)
    assert run.metrics["best/mAP50-95/std"] == pytest.approx(math.sqrt(0.02))
    assert "best.yaml" not in run.files


def test_scores_of_several_kinds_are_curves_of_their_own_and_there_is_no_best_tag(run):
    results = [make_result(0, 0.4), make_result(1, 0.9, task="classify", metric="top1")]
    log = SweepLog(run, SPACE)
    log.log_result(results[1], summarize(*results))
    log.log_end(summarize(*results), None)
    assert run.curves == {"job/classify/top1": {1: 0.9}}
    assert {"best/detect/mAP50-95": 0.4, "best/classify/top1": 0.9}.items() <= run.metrics.items()
    assert "finetrack.best" not in run.tags


def test_pictures_are_files_and_one_page_that_cannot_be_broken_by_names(run):
    odd = SPACE.axes[1].choices[1]
    points, results = [], []
    for number in range(6):
        values = {"finetune.lr0": 10 ** -(2 + number / 2), "augment": SPACE.axes[1].choices[number % 2]}
        job = make_job(number, label=SPACE.build_label(values))
        results.append(make_result(number, 0.3 + number / 20, job=job))
        curves = {0: {epoch: 0.1 * epoch for epoch in range(1, 4)}}
        points.append(
            StudyPoint(number, values, "complete", (results[-1],), (results[-1].score,), curves=curves)
        )
    log = SweepLog(run, SPACE, draw=lambda: draw_pictures(points, SPACE, ("",), repetitions=1))
    log.log_end(summarize(*results), CONFIG)

    pictures = {name for name in run.files if name.startswith("pictures/")}
    names = {"history", "parallel_coordinates", "slice", "importance", "learning_curves"}
    assert pictures == {f"pictures/{name}.png" for name in names}
    assert all(run.files[name].startswith(b"\x89PNG") for name in pictures)
    page = run.files["sweep.html"]
    assert odd not in page
    assert len(re.findall(r"Plotly\.newPlot\(\"graph-", page)) == len(names)
    assert page.count("plotly.js v") == 1
    assert "default-src 'none'" in page  # a browser loads nothing else
    assert "finetune: {lr0: 0.002}" in page


def test_an_error_of_a_picture_costs_the_pictures_alone(run, capsys):
    def fail() -> StudyPictures:
        raise ValueError("no variance")

    SweepLog(run, SPACE, draw=fail).log_end(summarize(make_result(0, 0.4)), None)
    assert "0.4000" in run.files["sweep.html"]
    assert "Plotly" not in run.files["sweep.html"]
    assert "the pictures could not be drawn: ValueError: no variance" in capsys.readouterr().err


def test_pictures_are_drawn_every_few_minutes_while_jobs_run(run, monkeypatch):
    drawn = []
    log = SweepLog(run, SPACE, draw=lambda: drawn.append(1) or StudyPictures([], ["a picture failed"]))
    result = make_result(0, 0.4)
    log.log_result(result, summarize(result))
    assert drawn == []
    monkeypatch.setattr(mlflow_log, "PICTURE_SECONDS", 0.0)
    log.log_result(result, summarize(result))
    assert drawn == [1]
    assert "jobs.json" in run.files


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (SearchAxis("augment", ("none", "light")), "none, light"),
        (SearchAxis("+a.b", low=1, high=8, integer=True), "1 to 8, integers"),
        (SearchAxis("a", low=64, high=320, step=32), "64 to 320, in steps of 32"),
    ],
)
def test_an_axis_is_described_for_people(axis, text):
    assert describe_space(SearchSpace((), (axis,))) == {axis.key.lstrip("+"): text}
