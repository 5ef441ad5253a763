"""Trainings of one sweep are scored on the same val images, or the later ones fail."""

from __future__ import annotations

import subprocess

import pytest

from pipeline.storage.git_commands import run_git
from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.split_check import SplitCheck


@pytest.fixture
def project(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def build_result(project, number, split, *, shared="a", status="trained"):
    """Build a result whose experiment has a split; None for no such file."""
    blob = run_git(project, "hash-object", "-w", "--stdin", text=f"{split}")
    name = "splits.json" if split is not None else "other.json"
    reports = run_git(project, "mktree", text=f"100644 blob {blob}\t{name}\n")
    tree = run_git(project, "mktree", text=f"040000 tree {reports}\treports\n")
    names = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = run_git(project, "commit-tree", tree, "-m", "a", variables=names)
    run_git(project, "update-ref", f"refs/exps/00/{'0' * 38}/sweep-{number}", commit)
    return JobResult(SweepJob(number, number, 0, (), "", f"sweep-{number}", shared=shared), status)


@pytest.mark.fault(14, "`dvc repro` divides the images otherwise while a sweep runs")
@pytest.mark.parametrize("is_later_process", [False, True])
def test_a_training_on_another_split_of_the_same_images_has_a_problem(project, is_later_process):
    first, second = build_result(project, 0, "[1]"), build_result(project, 1, "[2]")
    check = SplitCheck(project, [first] if is_later_process else [])
    if not is_later_process:
        assert check.find_problem(first) is None
    assert "otherwise than those of sweep-0" in check.find_problem(second)
    assert check.find_problem(build_result(project, 2, "[1]")) is None


@pytest.mark.parametrize(
    ("split", "changes"),
    [("[2]", {"shared": "b"}), ("[2]", {"status": "pruned"}), (None, {}), ("[1]", {})],
)
def test_other_images_and_unknown_splits_have_no_problem(project, split, changes):
    check = SplitCheck(project, [build_result(project, 0, "[1]")])
    assert check.find_problem(build_result(project, 1, split, **changes)) is None
