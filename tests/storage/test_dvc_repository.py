"""Files of a revision, where the project is a folder of its git repository, as in a monorepo."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.storage.dvc_repository import (
    MissingContentsError,
    copy_path_at_revision,
    read_file_at_revision,
)


def run(folder: Path, *words: str) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def subproject(tmp_path, monkeypatch) -> Path:
    """A DVC project below the top of a git repository, with an output in its remote."""
    folder = tmp_path / "repository/ml"
    (folder / "models/finetuned").mkdir(parents=True)
    (folder / "models/finetuned/run.json").write_text("{}")
    (folder / "plain.txt").write_text("text")
    monkeypatch.chdir(folder)
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    dvc = (sys.executable, "-m", "dvc")
    run(folder.parent, *git, "init", "--quiet")
    run(folder, *dvc, "init", "--quiet", "--subdir")
    run(folder, *dvc, "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    run(folder, *dvc, "add", "--quiet", "models/finetuned")
    run(folder, *git, "add", ".")
    run(folder, *git, "commit", "--quiet", "-m", "first")
    run(folder, *dvc, "push", "--quiet")
    return folder


@pytest.mark.fault(3, "no revision of a project in a subfolder of its repository can be read")
@pytest.mark.parametrize("where", ["cache", "remote"])
def test_files_of_a_revision_are_those_of_the_project(subproject, tmp_path, where):
    if where == "remote":
        shutil.rmtree(subproject / ".dvc/cache")
        shutil.rmtree(subproject / "models/finetuned")
    copy_path_at_revision(Path("models/finetuned"), "HEAD", tmp_path / "copy")
    assert (tmp_path / "copy/run.json").read_text() == "{}"
    copy_path_at_revision(Path("models/finetuned/run.json"), "HEAD", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "{}"
    assert read_file_at_revision(Path("models/finetuned/run.json"), "HEAD") == "{}"
    assert read_file_at_revision(Path("plain.txt"), "HEAD") == "text"
    with pytest.raises(MissingContentsError, match="has no models/other"):
        copy_path_at_revision(Path("models/other"), "HEAD", tmp_path / "other")
