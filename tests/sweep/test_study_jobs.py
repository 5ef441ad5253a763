"""The trainings of a study as jobs, and their results as the study keeps them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.sweep.job import EpochReported, JobResult
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space
from pipeline.sweep.study.open_study import open_study
from pipeline.sweep.study.study_inputs import StudyInputs
from pipeline.sweep.study_jobs import StudyJobs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """Open a study of two points in an empty project."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    monkeypatch.chdir(ROOT)
    settings = SweepSettings(name="a", pruner="median")
    plan = plan_space(["finetune.lr0=1e-3,1e-2"], settings)
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
