"""`dvc repro` with the real stages, on the smoke experiment's tiny images: what a user has afterwards."""

from __future__ import annotations

import json
import shutil

import pytest
from mlflow import MlflowClient

from tests.e2e.conftest import ROOT, Project, create


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory) -> Project:
    """A project whose default is the smoke experiment, reproduced once, in a home folder of its own."""
    project = create(tmp_path_factory.mktemp("pipeline") / "project")
    shutil.copytree(ROOT / "models/foundation", project.folder / "models/foundation")
    project.edit("conf/config.yaml", "- _self_", "- _self_\n  - experiment: smoke")
    home = project.folder.parent / "home"
    home.mkdir()
    project.commit()
    project.run(f"HOME={home} TMPDIR={home} dvc repro")
    return project


@pytest.fixture(scope="module")
def client(reproduced) -> MlflowClient:
    return MlflowClient(f"sqlite:///{reproduced.folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def trained(reproduced) -> dict:
    return json.loads((reproduced.folder / "models/finetuned/run.json").read_text())


def test_a_second_repro_runs_nothing_but_compose(reproduced):
    output = reproduced.run("dvc repro")
    assert "Running stage 'compose'" in output
    for stage in ("prepare", "augment", "finetune", "evaluate"):
        assert f"Stage '{stage}' didn't change, skipping" in output


def test_nothing_is_written_outside_the_project(reproduced):
    assert [*(reproduced.folder.parent / "home").rglob("*")] == []
    assert {path.name for path in reproduced.folder.parent.iterdir()} == {"project", "home"}


def test_git_shows_what_is_to_be_committed_and_no_more(reproduced):
    changed = {line[3:] for line in reproduced.status()}
    assert changed <= {"compose.lock.json", "splits.lock.json", "params.yaml", "dvc.lock", "reports/"}


def test_one_run_holds_the_iteration(reproduced, client, trained):
    experiment = client.get_experiment_by_name("smoke")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == trained["run_id"]
    assert run.info.status == "FINISHED"
    metrics = json.loads((reproduced.folder / "reports/metrics.json").read_text())
    assert run.data.metrics["test/mAP50-95"] == pytest.approx(metrics["test"]["mAP50-95"])
    assert run.data.params["finetune.lr0"] == "0.002"
    assert run.data.tags["finetrack.key"] == trained["key"]
    assert run.data.tags["finetrack.git.dirty"] in {"True", "False", "true", "false"}
    assert run.data.tags["mlflow.note.content"].startswith(
        "`full` from `foundation` on `demo`: 16 train images"
    )
    assert run.inputs.dataset_inputs
    assert run.outputs.model_outputs


def test_each_epoch_is_one_step(client, trained):
    steps = [metric.step for metric in client.get_metric_history(trained["run_id"], "metrics/mAP50-95")]
    assert steps == [1, 2]


def test_the_run_holds_weights_plots_and_configuration(client, trained):
    found, folders = set(), [""]
    while folders:
        for item in client.list_artifacts(trained["run_id"], folders.pop()):
            (folders.append if item.is_dir else found.add)(item.path)
    names = {path.rsplit("/", 1)[-1] for path in found}
    assert {"params.yaml", "best.pt", "last.pt", "metrics.json", "pr_curve.png", "confusion.png"} <= names
    assert {"report.html", "suspects.html", "suspects.json"} <= names
