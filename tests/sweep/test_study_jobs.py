"""The trainings of a study as jobs, and their results as the study keeps them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import EpochReported, JobResult
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space
from pipeline.sweep.study.open_study import open_study
from pipeline.sweep.study.study_inputs import StudyInputs
from pipeline.sweep.study_jobs import StudyJobs

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=[["finetune.lr0=1e-3,1e-2"]])
def jobs(tmp_path, monkeypatch, request):
    """Open a study of two points in an empty project."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    monkeypatch.chdir(ROOT)
    others_are_val = request.param[0].startswith("data.")
    settings = SweepSettings(name="a", pruner="none" if others_are_val else "median")
    plan = plan_space(request.param, settings)
    study = open_study(plan.space, settings, StudyInputs({}, grid=plan.points))
    yield StudyJobs(study, plan, settings), study
    study.close()


def test_a_pruned_training_has_the_epochs_that_it_reported(jobs):
    source, study = jobs
    job = source.next_job()
    assert (job.number, job.label, job.experiment) == (0, "lr0=0.001", "a-0")
    for epoch in (1, 2):
        source.report_epoch(EpochReported(0, epoch, 5, "mAP50-95", 0.1, lambda _: None))
    assert source.finish_job(JobResult(job, "pruned", seconds=20.0)).epochs == 2
    assert [row.epochs for point in study.points for row in point.results] == [2]
    assert study.summarize_pruning().epochs == 3


def test_a_pruner_that_judges_by_another_metric_than_the_objective_is_refused(jobs):
    source, study = jobs
    source.next_job()
    study.objectives = ("mAP50-95",)
    assert not source.report_epoch(EpochReported(0, 1, 5, "mAP50-95", 0.1, lambda _: None))
    with pytest.raises(UserError, match=r"sweep\.objectives=mask/mAP50-95, or sweep\.pruner=none"):
        source.report_epoch(EpochReported(0, 2, 5, "mask/mAP50-95", 0.1, lambda _: None))


def test_points_of_other_processes_are_waited_for(jobs):
    source, _ = jobs
    assert source.find_wait(1) == ""
    assert "no place" in source.find_wait(0)
    job = source.next_job()
    assert "runs 1 point" in source.find_wait(1)
    source.finish_job(JobResult(job, "failed", reason="it failed", seconds=1.0))
    assert source.find_wait(1) == ""  # it is tried again by the next process


@pytest.mark.fault(14, "a colleague's clone divides the images otherwise")
@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        (["seed=1,2"], "failed"),
        (["augment.offline.rotate=5,7"], "failed"),
        (["data.seed=1,2"], "trained"),  # other val images are what is compared
    ],
    indirect=["jobs"],
)
def test_a_training_on_another_split_fails_whatever_else_differs(jobs, expected):
    source, study = jobs
    first, second = source.next_job(), source.next_job()
    for job, split in ((first, "a"), (second, "b")):
        found = source.finish_job(
            JobResult(job, "trained", {"mAP50-95": 0.5}, "mAP50-95", "detect", seconds=1.0, split=split)
        )
    assert found.status == expected
    stored = {row.job.number: row.split for point in study.points for row in point.results}
    assert stored == {0: "a", 1: "b"}
