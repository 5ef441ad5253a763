"""Experiments in git: which names a new sweep would take."""

from __future__ import annotations

import subprocess

import pytest

from pipeline.storage.git_commands import run_git
from pipeline.sweep.experiments import find_experiment_of_name


@pytest.mark.fault(14, "an experiment of somebody else has the name of a sweep's job")
@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("a-0", True),
        ("a-best", True),
        ("a-best-1", True),
        ("a", False),
        ("a-b-0", False),
        ("ba-0", False),
        ("a-0b", False),
    ],
)
def test_a_new_sweep_finds_the_experiments_that_it_would_replace(tmp_path, name, is_taken):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    blob = run_git(tmp_path, "hash-object", "-w", "--stdin", text="a")
    tree = run_git(tmp_path, "mktree", text=f"100644 blob {blob}\ta\n")
    author = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = run_git(tmp_path, "commit-tree", tree, "-m", "a", variables=author)
    run_git(tmp_path, "update-ref", f"refs/exps/00/{'0' * 38}/{name}", commit)
    assert find_experiment_of_name(tmp_path, "a") == (name if is_taken else None)
