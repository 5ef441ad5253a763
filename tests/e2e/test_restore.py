"""Iterations are restored whatever became of the project: its images, its cache, its repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import builders
from tests.e2e.conftest import ROOT, Project, create, use_smoke_values

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def add_images(folder: Path, train: int) -> None:
    """Write a small YOLO dataset."""
    shutil.rmtree(folder, ignore_errors=True)
    images = {"train": train, "val": 4, "test": 4}
    builders.prepared_dataset(folder, images=images, classes=["disc", "square"], pixels=64)
    (folder / "manifest.json").unlink()
    splits = "".join(f"{split}: images/{split}\n" for split in images)
    (folder / "data.yaml").write_text(f"{splits}names: [disc, square]\n")


@contextmanager
def move_aside(*paths: Path) -> Iterator[None]:
    """Let files or folders be lost during the block."""
    lost = [path for path in paths if path.exists()]
    for path in lost:
        path.rename(path.with_name(f"{path.name}.aside"))
    try:
        yield
    finally:
        for path in lost:
            shutil.rmtree(path, ignore_errors=True)
            path.with_name(f"{path.name}.aside").rename(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Project:
    """A project with a run whose code and configuration are not committed; images, remote and store outside.

    `top/origin.git` is its git remote, `top/store` its DVC remote, `top/images` its images. `top/colleague`
    is a clone from the time before the commit of the run.
    """
    top = tmp_path_factory.mktemp("restore")
    project = create(top / "project")
    add_images(top / "images", train=12)
    (project.folder / "models/foundation").mkdir(parents=True)
    shutil.copy(ROOT / "models/foundation/yolo26n-foundation.pt", project.folder / "models/foundation")
    use_smoke_values(project)
    project.edit("conf/config.yaml", "data: demo", "data: yolo")
    project.edit("conf/data/yolo.yaml", "source: ???", f"source: {top / 'images'}")
    project.edit("conf/tracking/local.yaml", "sqlite:///mlflow.db", f"sqlite:///{top / 'mlflow.db'}")
    project.run(f"dvc remote add --default store {top / 'store'}")
    project.commit()
    project.run("git clone -q --bare . ../origin.git && git remote add origin ../origin.git")
    project.run(
        "git clone -q ../origin.git ../colleague && git -C ../colleague remote set-url origin ../origin.git"
    )
    project.edit("conf/evaluate/default.yaml", "bootstrap: ", "bootstrap: 60  # ")
    project.commit()
    project.run("git push -q origin HEAD")
    project.edit("conf/finetune/full.yaml", "lr0: ", "lr0: 0.0015  # ")
    (project.folder / "pipeline/note.py").write_text('"""Nothing imports this file."""\n')
    project.run("dvc repro")
    return project


@pytest.fixture
def run(made) -> str:
    """The id of the run."""
    return json.loads((made.folder / "models/finetuned/run.json").read_text())["run_id"]


def checks(folder: Path) -> list[str]:
    report = json.loads((folder / ".finetrack/restored.json").read_text())
    assert all(check["is_proven"] for check in report["checks"]), report
    return [check["text"] for check in report["checks"]]


def test_a_training_is_repeated_and_compared_without_a_trace_in_the_project(made, run, tmp_path):
    database = made.folder.parent / "mlflow.db"
    before, status = database.read_bytes(), made.status()
    made.run(f"python -m pipeline restore {run[:8]} {tmp_path / 'back'} --rerun")
    assert any(text.startswith("training again gives") for text in checks(tmp_path / "back"))
    assert (made.status(), database.read_bytes()) == (status, before)
    back = Project(tmp_path / "back", made.variables)
    assert back.status() == status
    assert (back.folder / "pipeline/note.py").exists()
    assert back.params()["finetune"]["lr0"] == 0.0015
    assert back.run("dvc repro").count("didn't change, skipping") == 4


def test_the_results_of_the_workspace_are_restored_by_their_run(made, tmp_path):
    made.run(f"python -m pipeline restore workspace {tmp_path / 'back'}")
    assert checks(tmp_path / "back")


def test_grown_images_leave_the_restored_iteration_and_its_record(made, run, tmp_path):
    source = made.folder.parent / "images"
    with move_aside(source):
        add_images(source, train=14)
        made.run(f"python -m pipeline restore {run[:8]} {tmp_path / 'back'}")
        assert "`restored`" in checks(tmp_path / "back")[-1]
        back = Project(tmp_path / "back", made.variables)
        assert back.run("dvc repro").count("didn't change, skipping") == 4


def test_another_copy_of_the_repository_restores_from_the_remotes(made, run, tmp_path):
    """Its commit is fetched from git's remote, data from DVC's, weights and the rest from the run."""
    top = made.folder.parent
    shutil.copytree(top / "origin.git", tmp_path / "origin.git")
    other = Project(shutil.copytree(top / "colleague", tmp_path / "other", symlinks=True), made.variables)
    said = other.run(f"python -m pipeline restore {run[:8]} ../back", fails=True)
    assert "data/prepared" in said
    assert "dvc push" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["origin.git", "other"]
    made.run("dvc push -q")
    other.run(f"python -m pipeline restore {run[:8]} ../back")
    checks(tmp_path / "back")
    back = Project(tmp_path / "back", made.variables)
    assert back.run("dvc repro").count("didn't change, skipping") == 4


def test_weights_that_dvc_lost_come_from_the_run_and_lost_data_is_named(made, run, tmp_path):
    project = Project(shutil.copytree(made.folder, tmp_path / "project", symlinks=True), made.variables)
    with move_aside(made.folder.parent / "store"):
        weights = (project.folder / "models/finetuned/best.pt").read_bytes()
        files = [path for path in (project.folder / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
        for path in [path for path in files if path.read_bytes() == weights]:
            path.unlink()
        said = project.run(f"python -m pipeline restore {run[:8]} ../back")
        assert "models/finetuned from MLflow" in said
        checks(tmp_path / "back")
        shutil.rmtree(project.folder / ".dvc/cache")
        assert "data/prepared" in project.run(f"python -m pipeline restore {run[:8]} ../again", fails=True)
        assert not (tmp_path / "again").exists()


def test_an_experiment_is_restored_from_its_commit(made, tmp_path):
    project = Project(shutil.copytree(made.folder, tmp_path / "project", symlinks=True), made.variables)
    project.commit()
    project.run("dvc exp run --temp --name slow -S finetune.lr0=0.0005")
    project.run("python -m pipeline restore slow ../back")
    checks(tmp_path / "back")
    assert Project(tmp_path / "back").params()["finetune"]["lr0"] == 0.0005


def test_a_project_in_a_subfolder_of_its_repository_is_named_in_the_command(made, tmp_path):
    project = Project(shutil.copytree(made.folder, tmp_path / "top/ml", symlinks=True), made.variables)
    shutil.rmtree(project.folder / ".git")
    project.run("git init -q ..")
    project.commit()
    project.run("dvc exp run --name slow -S finetune.lr0=0.0005")
    run = json.loads((project.folder / "models/finetuned/run.json").read_text())["run_id"]
    said = project.run(f"python -m pipeline restore {run[:8]} {tmp_path / 'back'}")
    assert f"`cd {tmp_path / 'back/ml'} && dvc repro`" in said
    checks(tmp_path / "back/ml")
    project.run(f"python -m pipeline restore slow {tmp_path / 'named'}")
    assert (tmp_path / "named/ml/dvc.yaml").exists()


@pytest.mark.fault(3, "code that was not logged")
def test_lost_changes_of_the_code_are_no_restored_iteration(made, run, tmp_path):
    project = Project(shutil.copytree(made.folder, tmp_path / "project", symlinks=True), made.variables)
    with move_aside(*(made.folder.parent / "mlruns").rglob("changes.patch")):
        said = project.run(f"python -m pipeline restore {run[:8]} ../back", fails=True)
        assert "changes.patch" in said
        assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("folder", "reason"), [("../full", "exists already"), ("back", "inside the project")]
)
def test_a_folder_that_would_mix_files_is_refused(made, run, folder, reason):
    (made.folder.parent / "full").mkdir(exist_ok=True)
    (made.folder.parent / "full/a.txt").write_text("mine")
    assert reason in made.run(f"python -m pipeline restore {run[:8]} {folder}", fails=True)
    assert not (made.folder / "back").exists()
