"""Trainings of one sweep are scored on the same val images, or the later ones fail."""

from __future__ import annotations

import subprocess

import pytest

from pipeline.storage.git_commands import run_git
from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.split_check import SplitCheck, digest_split


@pytest.fixture
def project(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def build_result(project, number, split, *, images="a", status="trained", stored=False, **words):
    """Build a result whose experiment has a split, or with `stored` the result itself; None for none."""
    overrides = (f"images={images}", *(f"{key}={value}" for key, value in words.items()))
    job = SweepJob(number, number, 0, overrides, "", f"sweep-{number}")
    if stored:
        return JobResult(job, status, split=digest_split(split))
    blob = run_git(project, "hash-object", "-w", "--stdin", text=f"{split}")
    name = "splits.json" if split is not None else "other.json"
    reports = run_git(project, "mktree", text=f"100644 blob {blob}\t{name}\n")
    tree = run_git(project, "mktree", text=f"040000 tree {reports}\treports\n")
    names = {f"GIT_{role}_{what}": "a" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = run_git(project, "commit-tree", tree, "-m", "a", variables=names)
    run_git(project, "update-ref", f"refs/exps/00/{'0' * 38}/sweep-{number}", commit)
    return JobResult(job, status)


def build_check(project, results):
    return SplitCheck(project, list_results=lambda: results, compute_key=lambda words: words[0])


@pytest.mark.fault(14, "`dvc repro` divides the images otherwise while a sweep runs")
@pytest.mark.parametrize("stored", [[False, False], [True, False], [True, True]])
def test_a_training_on_another_split_of_the_same_images_has_a_problem(project, stored):
    results = []
    check = build_check(project, results)
    first = build_result(project, 0, "[1]", stored=stored[0])
    assert check.find_problem(first) is None
    results.append(first)
    second = build_result(project, 1, "[2]", stored=stored[1], seed=1)
    assert "otherwise than those of sweep-0" in check.find_problem(second)
    assert check.find_problem(build_result(project, 2, "[1]", seed=2)) is None


@pytest.mark.parametrize(
    ("split", "changes"),
    [("[2]", {"images": "b"}), ("[2]", {"status": "pruned"}), (None, {}), ("[1]", {})],
)
def test_other_images_and_unknown_splits_have_no_problem(project, split, changes):
    check = build_check(project, [build_result(project, 0, "[1]", stored=True)])
    assert check.find_problem(build_result(project, 1, split, **changes)) is None
