"""A clone of the project at a commit: what works when the project, or its branches, change."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.restore.clone_project import apply_changes, clone_project
from pipeline.runtime.run_state import write_changes


def git(folder: Path, *command: str) -> str:
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", "-C", folder, *user, *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "vision").mkdir(exist_ok=True)
    (folder / "vision/code.py").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", text)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def top(tmp_path):
    """A repository whose project is in a folder of it, with one commit."""
    folder = tmp_path / "top"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "first")
    return folder


def test_a_commit_that_no_branch_has_is_there_and_stays_when_the_project_goes(top, tmp_path):
    lost = commit(top, "second")
    git(top, "reset", "--quiet", "--hard", "HEAD~1")
    project = clone_project(top / "vision", tmp_path / "clone", lost)
    assert project == tmp_path / "clone/vision"
    assert (project / "code.py").read_text() == "second"
    git(top, "reflog", "expire", "--expire=now", "--all")
    git(top, "gc", "--quiet", "--prune=now")
    shutil.rmtree(top)
    git(tmp_path / "clone", "fsck", "--strict")
    assert git(project, "rev-parse", "HEAD") == lost
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.fault(1, "the record of a run names an option of git in place of its commit")
@pytest.mark.parametrize(
    "text", ["--upload-pack=touch pwned; git-upload-pack", "HEAD", "main", "", "ab" * 21]
)
def test_what_is_no_hash_is_refused_before_git_sees_it(top, tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no hash of a commit"):
        clone_project(top, tmp_path / "clone", text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["top"]


@pytest.mark.parametrize("reference", ["refs/heads/other", "refs/exps/ab/cd/mine"])
def test_a_commit_of_another_machine_comes_from_a_remote_with_a_relative_path(top, tmp_path, reference):
    server, colleague = tmp_path / "server.git", tmp_path / "colleague"
    git(tmp_path, "clone", "--quiet", "--bare", str(top), str(server))
    git(top, "remote", "add", "team", "../server.git")
    git(tmp_path, "clone", "--quiet", str(server), str(colleague))
    theirs = commit(colleague, "theirs")
    git(colleague, "push", "--quiet", "origin", f"HEAD:{reference}")
    branches = git(top, "for-each-ref")
    project = clone_project(top / "vision", tmp_path / "clone", theirs)
    assert (project / "code.py").read_text() == "theirs"
    assert git(top, "for-each-ref") == branches, "the project stays as it is"


@pytest.mark.fault(3, "a commit that is gone")
def test_a_commit_that_nobody_has_is_named(top, tmp_path):
    with pytest.raises(UserError, match=r"commit 1234567890 .*git push"):
        clone_project(top / "vision", tmp_path / "clone", "1234567890" * 4)


def test_changes_beside_the_commit_come_back(top, tmp_path):
    (top / "vision/code.py").write_text("changed\n")
    (top / "vision/conf").mkdir()
    (top / "vision/conf/new.yaml").write_text("lr0: 1\n")
    write_changes(top / "vision", tmp_path / "changes.patch")
    project = clone_project(top / "vision", tmp_path / "clone", git(top, "rev-parse", "HEAD"))
    apply_changes(tmp_path / "clone", tmp_path / "changes.patch")
    assert (project / "code.py").read_text() == "changed\n"
    assert (project / "conf/new.yaml").read_text() == "lr0: 1\n"
    with pytest.raises(UserError, match="do not fit"):
        apply_changes(tmp_path / "clone", tmp_path / "changes.patch")
