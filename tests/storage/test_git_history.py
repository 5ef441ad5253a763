"""Commits, DVC experiments and files of them, read from git."""

import subprocess
from pathlib import Path

import pytest

from pipeline.storage.git_history import (
    find_commit,
    list_commits_of_file,
    list_experiments,
    read_commit_times,
    read_files_of_commits,
    read_tree_ids,
)

FILE, FOLDER = Path("reports/ä b.json"), Path("reports")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A project in a folder of its repository, with three commits: the second and the third change a file."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    project = tmp_path / "part"
    (project / "reports").mkdir(parents=True)
    run(tmp_path, "init", "--quiet")
    for text in (None, "1\n", "22"):
        if text:
            (project / FILE).write_text(text)
        run(tmp_path, "add", "-A")
        run(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "step")
    return project


def run(folder, *command: str):
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    answer = subprocess.run(
        ["git", "-C", folder, *user, *command], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def list_commits(repository):
    return run(repository, "log", "--format=%H").split()


def test_commits_that_changed_a_file_are_listed_newest_first(repository):
    third, second, _ = list_commits(repository)
    assert list_commits_of_file(repository, FILE, most=10) == [third, second]
    assert list_commits_of_file(repository, FILE, most=1) == [third]


def test_files_of_commits_are_read_at_once(repository):
    third, second, first = list_commits(repository)
    places = [(commit, path) for commit in (first, second, third, "f" * 40) for path in (FILE, FOLDER)]
    assert read_files_of_commits(repository, places) == {(second, FILE): b"1\n", (third, FILE): b"22"}


def test_equal_folders_have_equal_ids(repository):
    third, second, first = list_commits(repository)
    (repository / "other").write_text("1")
    run(repository, "add", "-A")
    run(repository, "commit", "--quiet", "-m", "elsewhere")
    fourth = list_commits(repository)[0]
    ids = read_tree_ids(repository, [fourth, third, second, first, "f" * 40], FOLDER)
    assert set(ids) == {fourth, third, second}
    assert ids[fourth] == ids[third] != ids[second]


def test_experiments_of_dvc_are_told_from_its_other_refs(repository):
    third, second, first = list_commits(repository)
    for ref, commit in (
        ("ab/cdef/one", second),
        ("ab/cdef/two", third),
        ("cd/0123/one", first),
        ("stash", third),
    ):
        run(repository, "update-ref", f"refs/exps/{ref}", commit)
    assert {(item.name, item.commit) for item in list_experiments(repository)} == {
        ("one", second),
        ("one", first),
        ("two", third),
    }
    assert {item.commit for item in list_experiments(repository, "one")} == {first, second}
    assert list_experiments(repository, "none") == []


def test_a_revision_names_a_commit_or_none(repository):
    third, second, _ = list_commits(repository)
    assert (find_commit(repository, "HEAD"), find_commit(repository, second[:8])) == (third, second)
    assert [find_commit(repository, text) for text in ("none", "", "-h", "HEAD:part")] == [None] * 4
    assert read_commit_times(repository, [second, third]).keys() == {second, third}


def test_a_folder_without_git_has_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert list_experiments(tmp_path) == []
    assert list_commits_of_file(tmp_path, FILE, most=1) == []
    assert find_commit(tmp_path, "HEAD") is None
    assert read_files_of_commits(tmp_path, [("f" * 40, FILE)]) == {}
    assert read_commit_times(tmp_path, ["f" * 40]) == {}
