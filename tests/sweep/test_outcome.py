"""The winner of a sweep that several projects share: who scores it on test, and what the others say."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import UserError
from pipeline.storage.git_commands import run_git
from pipeline.sweep.job import JobEnded, JobResult, describe_origin
from pipeline.sweep.outcome import SweepOutcome
from pipeline.sweep.report.mlflow_log import SweepLog
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace
from tests.sweep.report.test_mlflow_log import RecordedRun
from tests.sweep.study.studies import build_result, open_sweep, run_sweep, train

ROOT = Path(__file__).parents[2]
RATES = SearchSpace((), (SearchAxis("finetune.lr0", choices=("1e-3", "1e-2")),))
WINNER = "sweep-0"
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


def add_experiment(project, name, lr0, **reports):
    """Add an experiment as DVC does: params.yaml, and reports."""
    params = {**PARAMS, "finetune": {**PARAMS["finetune"], "lr0": lr0}}
    files = {"params.yaml": yaml.safe_dump(params)}
    folder = {f"{key}.json": json.dumps(value) for key, value in reports.items()}

    def write_tree(files, more=()):
        blobs = {
            path: run_git(project, "hash-object", "-w", "--stdin", text=text) for path, text in files.items()
        }
        lines = [*(f"100644 blob {blob}\t{path}" for path, blob in blobs.items()), *more]
        return run_git(project, "mktree", text="".join(f"{line}\n" for line in lines))

    tree = write_tree(files, [f"040000 tree {write_tree(folder)}\treports"])
    names = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = run_git(project, "commit-tree", tree, "-m", "a", variables=names)
    run_git(project, "update-ref", f"refs/exps/00/{'0' * 38}/{name}", commit)


@pytest.fixture
def team(tmp_path, monkeypatch):
    """Two projects with one study in a database; the first has the winner's experiment."""
    for name in ("anna", "ben"):
        subprocess.run(["git", "init", "-q", tmp_path / name], check=True)
        shutil.copytree(ROOT / "conf", tmp_path / name / "conf")
    add_experiment(tmp_path / "anna", WINNER, 1e-3)
    monkeypatch.chdir(tmp_path / "anna")
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path / "anna"))
    address = f"sqlite:////{tmp_path / 'team.db'}"

    def train_there(study, job):
        return JobResult(
            **{**vars(train(study, job)), "origin": "anna-pc:/data/project", "run_id": f"run-{job.number}"}
        )

    with closing(open_sweep(RATES, storage=address)) as study:
        run_sweep(study, train_there)
        yield {name: build_outcome(study, tmp_path / name) for name in ("anna", "ben")}


def build_outcome(study, project):
    return SweepOutcome(study, study.settings, command="a", project=project, values=PARAMS)


def finish(outcome):
    """Return the lines and the tags of an outcome."""
    run = RecordedRun()
    lines = outcome.finish(SweepLog(run, RATES))
    return "\n".join(lines), run.tags


@pytest.mark.fault(14, "the winner of a team's sweep was trained by another machine")
def test_only_the_project_with_the_winner_scores_it_and_the_others_say_where_it_is(team):
    anna, ben = team["anna"], team["ben"]
    assert (anna.needs_evaluation(), ben.needs_evaluation()) == (True, False)
    lines, tags = finish(ben)
    assert "anna-pc:/data/project and not scored" in lines
    assert "finetrack.best.test" not in tags  # anna's process says it
    assert finish(anna)[1]["finetrack.best.test"] == "not scored"

    add_experiment(anna._project, "sweep-best", 1e-3, metrics={"test": {"mAP50-95": 0.25}})
    assert not anna.needs_evaluation()
    lines, tags = finish(anna)
    assert tags["finetrack.best.test"] == tags["finetrack.best"] == "sweep-best"
    assert "make pull" not in lines
    lines, tags = finish(ben)
    assert "test mAP50-95 0.2500" in lines
    assert "make pull" in lines
    assert tags["finetrack.best"] == "sweep-best"
    assert "finetrack.best.test" not in tags


def test_a_score_of_other_values_of_evaluate_is_not_taken_over(team):
    add_experiment(team["anna"]._project, "sweep-best", 1e-3, metrics={"test": {"mAP50-95": 0.25}})
    finish(team["anna"])
    ben = team["ben"]
    ben._values = {**PARAMS, "evaluate": {**PARAMS["evaluate"], "iou": 0.123}}
    assert ben.summarize().test == ""


def test_points_that_another_process_runs_are_said(team):
    anna = team["anna"]
    with closing(open_sweep(RATES, storage=anna._settings.storage, name="running")) as study:
        study.next_job()
        assert study.count_elsewhere() == 0
        with closing(open_sweep(RATES, storage=anna._settings.storage, name="running")) as other:
            lines, _ = finish(build_outcome(other, anna._project))
            assert "another process runs 1 point" in lines


class RestoringLoop:
    """A loop whose jobs are done at once, and leave experiments of another training."""

    status = "trained"

    def __init__(self, project) -> None:
        self._project = project

    def run(self, source):
        while job := source.next_job():
            add_experiment(self._project, job.experiment, 5e-3, metrics={"test": {"mAP50-95": 0.25}})
            source.finish_job(JobEnded(job.number, JobResult(job, self.status)).result)


@pytest.mark.fault(12, "the winner was trained again, with another result, to be scored on test")
def test_an_evaluation_that_does_not_count_is_said(team):
    anna = team["anna"]
    anna.evaluate_winner(RestoringLoop(anna._project))
    assert anna.summarize().test == ""
    with pytest.raises(UserError, match="not scored on test"):
        anna.require_success()


@pytest.mark.fault(14, "a sweep with a database of its own, whose experiments were removed from git")
def test_an_experiment_that_was_removed_here_is_scored_all_the_same(team):
    anna, ben = team["anna"], team["ben"]
    origin = describe_origin(ben._project)

    def train_here(study, job):
        return JobResult(**{**vars(train(study, job)), "origin": origin})

    with closing(open_sweep(RATES, storage=anna._settings.storage, name="alone")) as study:
        run_sweep(study, train_here)
        run_git(anna._project, "update-ref", "-d", f"refs/exps/00/{'0' * 38}/{WINNER}")
        own, other = (build_outcome(study, outcome._project) for outcome in (ben, anna))
        assert (own.needs_evaluation(), own.summarize().winner_is_elsewhere) == (True, False)
        assert (other.needs_evaluation(), other.summarize().winner_is_elsewhere) == (False, True)


class OvertakenLoop(RestoringLoop):
    """A loop during which another process finishes a point."""

    def __init__(self, project, study, better) -> None:
        super().__init__(project)
        self._study, self._better = study, better

    def run(self, source):
        super().run(source)
        metrics = {"mAP50-95": 0.99 if self._better else 0.01}
        self._study.finish_job(build_result(self._study.next_job(), metrics=metrics, origin="ben-pc:/b"))


@pytest.mark.fault(14, "another process finishes a better point while the winner is scored on test")
@pytest.mark.parametrize("status", ["trained", "failed"])
@pytest.mark.parametrize("better", [True, False])
def test_a_winner_that_was_overtaken_while_it_was_scored_is_no_error(team, better, status):
    anna = team["anna"]
    with closing(open_sweep(RATES, storage=anna._settings.storage, name="race")) as study:
        study.finish_job(build_result(study.next_job(), metrics={"mAP50-95": 0.5}))
        outcome = build_outcome(study, anna._project)
        loop = OvertakenLoop(anna._project, study, better)
        loop.status = status
        outcome.evaluate_winner(loop)
        lines, _ = finish(outcome)
        assert ("there is a new winner" in lines) == better
        with nullcontext() if better else pytest.raises(UserError, match="not scored on test"):
            outcome.require_success()
