"""The run of a study in MLflow: one for all of its processes, and another one for a copy of its project."""

from __future__ import annotations

import shutil
from contextlib import closing

import pytest

from pipeline.sweep.report.study_run import open_study_run
from pipeline.tracking.target import TrackingTarget
from tests.sweep.study.studies import CHOICES, open_sweep


@pytest.mark.slow
@pytest.mark.fault(14, "a project is copied with its sweeps, and both write into one MLflow run")
def test_a_copy_logs_to_a_run_of_its_own_in_the_store_that_both_use(tmp_path, monkeypatch):
    target = TrackingTarget(f"sqlite:///{tmp_path}/mlflow.db", "trial", 20.0)
    told = []

    def open_there(project):
        monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path / project))
        with (
            closing(open_sweep(CHOICES)) as study,
            open_study_run(study, target, place=project, command="a", tell=told.append) as session,
        ):
            return session.run_id

    (tmp_path / "original").mkdir()
    first = open_there("original")
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    second = open_there("copy")
    assert len({first, second, None}) == 3
    assert (open_there("original"), open_there("copy"), len(told)) == (first, second, 1)
