"""A colleague goes on from the remotes alone: `push`, `git clone`, `pull`, then nothing is trained again."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.e2e.conftest import Project


@pytest.mark.slow
def test_a_colleague_trains_nothing_again(tiny, tmp_path_factory):
    outside = tmp_path_factory.mktemp("team")
    tiny.run(f"dvc remote add --default store {outside / 'store'}")
    tiny.run("dvc exp run --name fast --set-param finetune.lr0=0.02")
    tiny.run("git stash --quiet --include-untracked && git stash drop --quiet", fails=False)
    tiny.run(f"dvc remote add --default --force store {outside / 'store'} && dvc checkout")
    tiny.commit()
    tiny.run(f"git init -q --bare {outside / 'origin.git'} && git remote add origin {outside / 'origin.git'}")
    output = tiny.run("python -m pipeline push --branch")
    assert "left to do" not in output
    tiny.run(f"git clone -q {outside / 'origin.git'} {outside / 'clone'}")
    colleague = Project(outside / "clone", tiny.variables)
    output = colleague.run("python -m pipeline pull")
    assert "1 experiment fetched from origin" in output
    assert "MLflow's runs are not part of it" in output
    colleague.run("dvc repro")
    assert colleague.ran() == []
    assert colleague.status() == []
    colleague.run("dvc exp apply fast")
    assert json.loads((colleague.folder / "models/finetuned/run.json").read_text())["run_id"] == "run-0.02"
    colleague.run("git checkout -q . && dvc checkout --force")
    shutil.rmtree(colleague.folder / ".finetrack", ignore_errors=True)
    colleague.run("dvc exp run --name again --set-param finetune.lr0=0.02")
    assert colleague.ran() == []  # the run cache has it
