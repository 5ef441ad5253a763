"""`dvc repro` with the real stages, killed at random moments: the next one ends as if nothing had happened.

`make faults` kills more often: FAULT_TRIES says how many times, FAULT_SEED draws other moments.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tests.e2e.conftest import ROOT, Project, create, use_smoke_values

TRIES = int(os.environ.get("FAULT_TRIES", "1"))
SEED = int(os.environ.get("FAULT_SEED", "0"))


class Undisturbed:
    """A project that was reproduced without a fault: how long it took, and what it left."""

    def __init__(self, folder: Path) -> None:
        self.project = create(folder)
        (folder / "models").mkdir(exist_ok=True)
        shutil.copytree(ROOT / "models/foundation", folder / "models/foundation")
        use_smoke_values(self.project)
        self.project.commit()
        self.fresh = folder.with_name("fresh")
        shutil.copytree(folder, self.fresh, symlinks=True)
        begin = time.monotonic()
        self.project.run("dvc repro")
        self.seconds = time.monotonic() - begin
        self.left = list_results(self.project)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "project")


def list_results(project: Project) -> dict[str, str]:
    """Return the digests of datasets and weights, and the test metrics: all but run ids and pictures."""
    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    found = {out["path"]: out["md5"] for stage in ("prepare", "augment") for out in lock[stage]["outs"]}
    run = json.loads((project.folder / "models/finetuned/run.json").read_text())
    return found | run["sha256"] | {"metrics": (project.folder / "reports/metrics.json").read_text()}


def kill_repro(project: Project, after: float, *, alone: bool) -> None:
    """Start `dvc repro`, and kill it with its stage, or alone, so many seconds later."""
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill() if alone else os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def repeat_until_done(project: Project) -> None:
    """Type `dvc repro` until it ends well: the stage of a `dvc` that was killed alone may still run."""
    for _ in range(60):
        done = subprocess.run(
            ["dvc", "repro"],
            cwd=project.folder,
            env=project.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        if done.returncode == 0:
            return
        assert "another process is at work" in done.stdout + done.stderr, done.stdout + done.stderr
        time.sleep(1)
    pytest.fail("dvc repro never ended well")


@pytest.mark.slow
@pytest.mark.fault(8, "SIGKILL of `dvc repro` at a random moment, with its stage or alone")
@pytest.mark.parametrize("number", range(TRIES))
def test_a_killed_repro_ends_like_an_undisturbed_one(undisturbed, tmp_path, number):
    draw = random.Random(SEED * 1000 + number)
    shutil.copytree(undisturbed.fresh, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    for _ in range(draw.choice((1, 1, 2))):
        kill_repro(project, draw.uniform(0.1, undisturbed.seconds), alone=draw.random() < 0.3)
    repeat_until_done(project)
    assert list_results(project) == undisturbed.left
    check_runs(project)
    hidden = [path for place in ("data", "models", "reports") for path in (project.folder / place).glob(".*")]
    assert [path.name for path in hidden if path.name != ".gitignore"] == []
    assert "didn't change" in project.run("dvc repro")


def check_runs(project: Project) -> None:
    """Check that one run is finished, with every epoch once, and one model with figures of val and test."""
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("smoke").experiment_id
    runs = client.search_runs([experiment])
    [run] = [run for run in runs if run.info.status == "FINISHED"]
    for killed in runs:  # one that was killed before its first checkpoint has nothing to go on from
        assert killed is run or (killed.info.status, killed.data.metrics) == ("KILLED", {})
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "metrics/mAP50-95")]
    assert steps == [1, 2]
    assert len(client.get_metric_history(run.info.run_id, "test/mAP50-95")) == 1
    [model] = client.search_logged_models([experiment])
    assert str(model.status) == "READY"
    assert {"best/mAP50-95", "test/mAP50-95"} <= {metric.key for metric in model.metrics}
