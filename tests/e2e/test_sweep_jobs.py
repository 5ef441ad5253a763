"""Jobs of a sweep in their workspaces: real git and DVC, two at once, beside `dvc exp run` in the project."""

from __future__ import annotations

import json
import os
import shutil
from queue import Queue
from typing import NamedTuple

import pytest
import yaml

from pipeline.runtime.fork_server.messages import ADDRESS_VARIABLE
from pipeline.storage.git_commands import run_git
from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepJob
from pipeline.sweep.launchers.local import LocalLauncher
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workspaces.sweep_commit import create_sweep_commit
from pipeline.sweep.workspaces.workspace import delete_workspaces
from tests.e2e.conftest import Project

FILES = ("params.yaml", "compose.lock.json", "splits.lock.json", "reports/training.json", "conf/config.yaml")
EVALUATE = {
    "cmd": "python tiny.py evaluate",
    "deps": ["models/finetuned"],
    "metrics": [{"reports/metrics.json": {"cache": False}}],
}
SPLIT = {"metrics": [{"reports/splits.json": {"cache": False}}]}
SCORE = """if stage == "prepare":
    terms = {key: params["data"][key] for key in ("seed", "split", "keep_split", "group_by")}
    split = [{"terms": terms, "folds": None, "sides": {"val": "0123456789abcdef"}}]
    pathlib.Path("reports").mkdir(exist_ok=True)
    pathlib.Path("reports/splits.json").write_text(json.dumps(split))
if stage == "evaluate":
    pathlib.Path("reports/metrics.json").write_text('{"test": {"mAP50-95": 0.9}}')
    sys.exit()
"""


class SweptProject(NamedTuple):
    """A project after jobs ran in workspaces.

    Attributes:
        project: The project, which had an uncommitted change.
        results: By the jobs' numbers.
        stages: What the launcher told: number, stage, restored.
        ran: The stages that really ran.
        status: git's list of changed files, before.
    """

    project: Project
    results: dict[int, JobResult]
    stages: list[StageBegan]
    ran: list[str]
    status: list[str]


def build_job(number: int, *overrides: str, shared: str = "") -> SweepJob:
    return SweepJob(number, number, 0, overrides, " ".join(overrides), f"sweep-{number}", shared=shared)


JOBS = (
    build_job(0, "finetune.lr0=0.01", shared="a"),
    build_job(1, "finetune.lr0=0.02", shared="a"),
    build_job(2, "finetune.lr0=0.9", "data.seed=1", shared="b"),
)


def run_jobs(
    launcher: LocalLauncher, events: Queue, jobs: tuple[SweepJob, ...]
) -> tuple[dict[int, JobResult], list[StageBegan]]:
    """Start all jobs and wait for their ends."""
    results: dict[int, JobResult] = {}
    stages: list[StageBegan] = []
    for job in jobs:
        launcher.start(job)
    while len(results) < len(jobs):
        event = events.get(timeout=240)
        if isinstance(event, JobEnded):
            results[event.number] = event.result
        else:
            stages.append(event)
    return results, stages


@pytest.fixture(scope="module")
def project(tiny_template, tmp_path_factory):
    """A project whose last commit was evaluated, and that has a change that is not committed."""
    folder = tmp_path_factory.mktemp("swept")
    shutil.copytree(tiny_template.folder, folder, dirs_exist_ok=True)
    project = Project(folder)
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())
    stages["stages"]["evaluate"] = EVALUATE
    stages["stages"]["prepare"] |= SPLIT
    (folder / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    project.edit("tiny.py", 'if stage == "finetune":', f'{SCORE}if stage == "finetune":')
    project.run("dvc repro")
    project.commit()
    project.ran()
    project.edit("conf/config.yaml", "seed: 0", "seed: 5")
    return project


@pytest.fixture(scope="module")
def swept(project):
    """Run jobs in workspaces of the project, two at once where there are two cores."""
    made = create_sweep_commit(project.folder, "s")
    place = project.folder / ".finetrack/sweeps/s"
    context = SweepContext("s", project.folder, place, made.commit, {ADDRESS_VARIABLE: ""}, (), made.baseline)
    before, events = project.status(), Queue()
    with pytest.MonkeyPatch.context() as patched:
        for name in set(os.environ) - set(project.environment):
            patched.delenv(name)
        for name, value in project.environment.items():
            patched.setenv(name, value)
        launcher = LocalLauncher(context, SweepSettings(jobs=min(2, os.cpu_count() or 1)), events)
        try:
            results, told = run_jobs(launcher, events, JOBS)
        finally:
            launcher.close()
    yield SweptProject(project, results, told, project.ran(), before)
    delete_workspaces(context)
    assert not [*(place / "workspaces").iterdir()]


def test_each_job_has_its_result_and_a_failed_one_its_reason(swept):
    assert {number: result.status for number, result in swept.results.items()} == {
        0: "trained",
        1: "trained",
        2: "failed",
    }
    assert [swept.results[number].score for number in (0, 1)] == [pytest.approx(0.1), pytest.approx(0.2)]
    assert swept.results[0].run_id == "run-0.01"
    assert swept.results[0].task == "detect"
    assert swept.results[0].split == swept.results[1].split is not None
    assert "lets the loss explode" in swept.results[2].reason
    log = swept.project.folder / ".finetrack/sweeps/s/jobs/0002/output.log"
    assert "Running stage 'finetune'" in log.read_text()


def test_images_are_prepared_once_for_all_jobs_that_share_them(swept):
    assert sorted(swept.ran) == ["finetune", "finetune", "finetune", "prepare"]
    restored = {(event.number, event.restored) for event in swept.stages if event.stage == "prepare"}
    assert restored == {(0, True), (1, True), (2, False)}


@pytest.mark.fault(13, "jobs at once write into one another's folders or the project")
def test_the_project_stays_as_it_was(swept):
    assert swept.project.status() == swept.status


@pytest.mark.fault(12, "an experiment shows the test metrics of another model")
def test_experiments_belong_to_the_commit_and_show_no_test_metrics(swept):
    shown = json.loads(swept.project.run("dvc exp show --json"))
    (baseline,) = (row for row in shown if row["rev"] != "workspace")
    assert "reports/metrics.json" in baseline["data"]["metrics"]
    experiments = {row["name"]: row["revs"][0]["data"] for row in baseline["experiments"]}
    assert experiments.keys() == {"sweep-0", "sweep-1"}
    for name, score in {"sweep-0": 0.1, "sweep-1": 0.2}.items():
        metrics = experiments[name]["metrics"]
        assert "data" not in metrics.get("reports/metrics.json", {})
        assert metrics["reports/training.json"]["data"]["val"]["mAP50-95"] == pytest.approx(score)


@pytest.mark.fault(3, "a job of a sweep computes something else than `dvc exp run`")
def test_a_job_computes_and_records_what_dvc_exp_run_in_the_project_does(swept):
    project = swept.project
    words = " ".join(f"-S {override}" for override in JOBS[0].overrides)
    project.run(f"dvc exp run --name by-hand {words} finetune")
    assert project.ran() == []  # DVC knows the result of the job: same parameters, inputs and code
    found = {}
    for name in ("sweep-0", "by-hand"):
        commit = run_git(project.folder, "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}")
        read = {file: run_git(project.folder, "show", f"{commit}:{file}") for file in FILES}
        lock = yaml.safe_load(run_git(project.folder, "show", f"{commit}:dvc.lock"))["stages"]
        lock.pop("evaluate", None)
        found[name] = read | {"lock": lock}
    assert found["sweep-0"] == found["by-hand"]
    project.run("dvc exp apply sweep-1")
    assert json.loads((project.folder / "models/finetuned/run.json").read_text())["run_id"] == "run-0.02"
