"""The commands that README.md shows, typed in order in a fresh copy of the project, and what they leave.

The copy's defaults are the smoke experiment's (tiny images, two epochs), so that each command takes seconds;
nothing else is changed. The first command, `make repro`, is typed by the fixture. The tests run in order:
each needs what the ones before it did.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests import builders
from tests.e2e.conftest import ROOT, Project, create, use_smoke_values

README = (ROOT / "README.md").read_text("utf-8")
NAMES = ["disc", "square", "bar"]
OTHER_VALUES = (
    "dvc exp run -S finetune=head -S finetune.lr0=1e-3",
    "dvc exp run --temp -S finetune=gradual",
)
"""Typed before stages that take a moment; the sweep trains these strategies."""
FEW_TRAININGS = {"sweep.trials=30": "sweep.trials=2", "sweep.hours=1": "sweep.trials=1"}
SWEEPS = {
    "finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light": 4,
    "finetrack sweep 'finetune.lr0=tag(log,interval(1e-4,1e-2))' sweep.trials=30 sweep.pruner=median": 2,
    "finetrack sweep +sweep=quick sweep.hours=1": 1,
}
"""Sweeps, and how many trainings each has with few of them, before stages that take a moment."""
MODEL_COMMANDS = (
    "finetrack register workspace",
    "finetrack promote",
    "finetrack compare champion workspace",
    "finetrack export champion --format onnx",
    "finetrack predict /path/to/dataset",
)
TYPED_ELSEWHERE = {
    "make ui": "runs until it is stopped: test_the_ui_shows_the_runs",
    "make test": "is this run",
    "make push": "needs a remote: tests/remotes",
    "finetrack learning-curve": "takes twelve trainings: test_learning_curve.py",
    "make repro": "is typed by the fixture",
    **dict.fromkeys(OTHER_VALUES, "test_experiments_with_other_values_run_as_typed"),
    **dict.fromkeys(SWEEPS, "test_sweeps_run_as_typed"),
    **dict.fromkeys(MODEL_COMMANDS, "test_models_in_use.py, with three models"),
    "finetrack serve": "runs until it is stopped: test_models_in_use.py",
    "finetrack rollback": "needs two champions: test_models_in_use.py",
    "finetrack restore champion ../champion": "test_the_run_is_restored_in_a_new_folder_with_proof",
    "source .venv/bin/activate": "is what the fixture's PATH does",
}


def commands() -> list[str]:
    """Return the lines of README's indented blocks, without their comments."""
    lines = re.findall(r"^    (\S.*)$", README, re.MULTILINE)
    return [line.split("  #")[0].strip() for line in lines]


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Project:
    """A reproduced copy of the project, with its .venv and a home folder of its own."""
    folder = tmp_path_factory.mktemp("reader") / "finetrack"
    home = folder.parent / "home"
    home.mkdir()
    project = create(folder, HOME=str(home))
    for part in ("Makefile", "requirements.lock", "pyproject.toml", "models/foundation"):
        (project.folder / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy2)(ROOT / part, project.folder / part)
    venv = ROOT / ".venv"
    if not (venv / ".installed").exists():
        pytest.skip("the README's commands need the .venv that make creates")
    (project.folder / ".venv").symlink_to(venv)
    os.utime(project.folder / "requirements.lock", (0, 0))  # it is installed already
    use_smoke_values(project)
    project.commit()
    assert commands()[0] == "make repro"
    project.run("make repro")
    return project


@pytest.fixture(scope="module")
def client(reader) -> MlflowClient:
    return MlflowClient(f"sqlite:///{reader.folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def trained(reader) -> dict:
    """Return run.json of the first training."""
    return json.loads((reader.folder / "models/finetuned/run.json").read_text())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Return a small YOLO dataset somewhere else on the disk."""
    folder = tmp_path_factory.mktemp("mine")
    builders.prepared_dataset(folder, images={"train": 16, "val": 4, "test": 4}, classes=NAMES, pixels=64)
    (folder / "manifest.json").unlink()
    splits = "".join(f"{split}: images/{split}\n" for split in ("train", "val", "test"))
    (folder / "data.yaml").write_text(f"{splits}names: {NAMES}\n")
    return folder


def test_a_second_repro_runs_nothing_but_compose(reader):
    output = reader.run("dvc repro")
    assert "Running stage 'compose'" in output
    for stage in ("prepare", "augment", "finetune", "evaluate"):
        assert f"Stage '{stage}' didn't change, skipping" in output
    kept = reader.folder / ".finetrack/checkpoints"
    assert [*kept.iterdir()] == []  # dvc.lock names the outputs of the training


def test_git_shows_what_is_to_be_committed_and_no_more(reader):
    changed = {line[3:] for line in reader.status()}
    assert changed <= {"compose.lock.json", "splits.lock.json", "params.yaml", "dvc.lock", "reports/"}


def test_the_doctor_finds_nothing_wrong(reader):
    report = json.loads(reader.run("TMPDIR=/tmp OMP_NUM_THREADS= finetrack doctor --json"))
    of_this_machine = {"memory", "disk space"}
    unusual = [item for item in report["findings"] if item["state"] != "ok"]
    assert [item for item in unusual if item["check"] not in of_this_machine] == []
    [records] = [item["seen"] for item in report["findings"] if item["check"] == "records"]
    assert "MLflow's run" in records


def test_one_run_holds_the_iteration(reader, client, trained):
    experiment = client.get_experiment_by_name("smoke")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == trained["run_id"]
    assert run.info.status == "FINISHED"
    metrics = json.loads((reader.folder / "reports/metrics.json").read_text())
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


@pytest.mark.slow
def test_the_run_is_restored_in_a_new_folder_with_proof(reader, trained, tmp_path):
    """Its files are not committed yet: what is beside the commit comes from MLflow, data from DVC."""
    said = reader.run(f"finetrack restore {trained['run_id'][:8]} {tmp_path / 'back'}")
    report = json.loads((tmp_path / "back/.finetrack/restored.json").read_text())
    assert [check["is_proven"] for check in report["checks"]] == [True] * 3, said
    for path in ("dvc.lock", "reports/metrics.json", "reports/splits.json", "models/finetuned/run.json"):
        assert (tmp_path / "back" / path).read_bytes() == (reader.folder / path).read_bytes(), path
    back = Project(tmp_path / "back", reader.variables)
    assert back.status() == reader.status()
    assert back.params() == reader.params() | {
        "tracking": reader.params()["tracking"] | {"uri": f"sqlite:///{reader.folder / 'mlflow.db'}"}
    }


@pytest.mark.timeout(900)
def test_every_command_does_what_the_readme_says(reader, dataset):
    reader.commit()  # the lock files and metrics of `make repro`
    typed = [command for command in commands() if command not in TYPED_ELSEWHERE]
    assert typed, "README.md shows no commands"
    for command in typed:
        reader.run(command.replace("/path/to/dataset", str(dataset)))
        if command == "dvc repro":
            _check_own_dataset(reader)
    metrics = json.loads((reader.folder / "reports/metrics.json").read_text())
    assert 0 <= metrics["test"]["mAP50-95"] <= 1


def _check_own_dataset(reader: Project) -> None:
    """The user's data ends up prepared, and the model knows its classes."""
    manifest = json.loads((reader.folder / "data/prepared/manifest.json").read_text())
    names = json.loads((reader.folder / "models/finetuned/run.json").read_text())["names"]
    assert manifest["names"] == names == NAMES


def test_experiments_with_other_values_run_as_typed(tiny):
    assert set(OTHER_VALUES) <= set(commands())
    for command in OTHER_VALUES:
        tiny.run(command)
        assert tiny.ran() == ["finetune"]
    assert (tiny.params()["finetune"]["strategy"], tiny.params()["finetune"]["lr0"]) == ("head", 0.001)


def test_the_sweeps_are_in_the_readme():
    assert set(SWEEPS) <= set(commands())


@pytest.mark.slow
@pytest.mark.parametrize("command", SWEEPS)
def test_sweeps_run_as_typed(tiny, command):
    words = [FEW_TRAININGS.get(word, word) for word in shlex.split(command)[2:]]
    tiny.run(shlex.join(["python", "-m", "pipeline.sweep", "-m", *words]))
    (file,) = (tiny.folder / ".finetrack/sweeps").glob("*/results.json")
    jobs = json.loads(file.read_text())["jobs"]
    assert [job["status"] in {"trained", "restored"} for job in jobs] == [True] * SWEEPS[command]


def test_the_runs_of_the_sweep_hang_under_one_that_lists_them(reader):
    client = MlflowClient(f"sqlite:///{reader.folder / 'mlflow.db'}")
    runs = client.search_runs([item.experiment_id for item in client.search_experiments()])
    (parent,) = [run for run in runs if "finetrack.sweep.command" in run.data.tags]
    table = json.loads(Path(client.download_artifacts(parent.info.run_id, "jobs.json")).read_text())
    jobs = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert len(jobs) == 2
    by_id = {run.info.run_id: run for run in runs}
    for job in jobs:
        made_by = by_id[job["run_id"]]
        assert made_by.data.metrics["best/mAP50-95"] == pytest.approx(job["score"], abs=1e-6)
        if job["status"] == "trained":
            assert made_by.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.info.status == "FINISHED"


def test_the_ui_shows_the_runs(reader):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ui = subprocess.Popen(
        ["make", "ui", f"PORT={port}"],
        cwd=reader.folder,
        env=reader.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert "MLflow" in _page(f"http://127.0.0.1:{port}/")
    finally:
        os.killpg(ui.pid, 15)
        ui.wait(30)


def test_nothing_is_written_outside_the_project(reader):
    assert [*(reader.folder.parent / "home").rglob("*")] == []
    assert {path.name for path in reader.folder.parent.iterdir()} == {"finetrack", "home"}


def test_what_the_readme_links_to_is_there():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def _page(url: str) -> str:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                return page.read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError(f"{url} does not answer")
