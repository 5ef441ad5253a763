"""A clone of the project on a node, and what reaches a job's process there."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess

import pytest

from pipeline.sweep.job import JobEnded, JobResult, StageBegan, SweepContext, SweepJob
from pipeline.sweep.workers.job_request import (
    JobRequest,
    format_event,
    format_request,
    parse_event,
    parse_request,
)
from pipeline.sweep.workers.node_job import choose_threads, hold_free_slot
from pipeline.sweep.workers.node_process import GitSource, create_clone

JOB = SweepJob(7, 3, 1, ("finetune.lr0=0.1",), "lr0=0.1", "try-7", shared="same")
REF = "refs/finetrack/sweeps/try"


def git(folder, *words: str):
    names = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
    command = ["git", "-C", str(folder), *names, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def source(tmp_path):
    """A repository whose sweep has a change that is not committed in its branch."""
    project = tmp_path / "project"
    (project / ".dvc").mkdir(parents=True)
    git(project, "init", "-q")
    for name, text in {".dvc/config": "", "code.py": "old"}.items():
        (project / name).write_text(text)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    baseline = git(project, "rev-parse", "HEAD")
    (project / "code.py").write_text("new")
    git(project, "commit", "-qam", "changed")
    commit = git(project, "rev-parse", "HEAD")
    git(project, "update-ref", REF, commit)
    git(project, "reset", "-q", "--hard", baseline)
    return GitSource(str(project), "origin", REF, commit, baseline, None)


def test_a_clone_has_the_files_of_the_sweep_and_the_head_of_the_project(source, tmp_path, monkeypatch):
    monkeypatch.setenv("FINETRACK_NODE_FOLDER", str(tmp_path / "node"))
    clone = create_clone(source)
    assert (clone / "code.py").read_text() == "new"
    assert git(clone, "rev-parse", "HEAD") == source.baseline
    (clone / "kept").touch()
    assert create_clone(source) == clone
    assert (clone / "kept").exists(), "a clone is used again"
    (clone / ".git/finetrack-complete").unlink()
    (clone / "code.py").write_text("half")
    assert (create_clone(source) / "code.py").read_text() == "new", "a clone that was not complete is"


def test_a_repository_that_cannot_be_reached_is_told_with_the_reason_of_git(source, tmp_path, monkeypatch):
    monkeypatch.setenv("FINETRACK_NODE_FOLDER", str(tmp_path / "node"))
    with pytest.raises(RuntimeError, match="nowhere"):
        create_clone(source._replace(url=str(tmp_path / "nowhere")))


def test_requests_and_events_are_the_same_after_their_way(source, tmp_path):
    context = SweepContext(
        "try", tmp_path, tmp_path / "sweep", "abc", {"A": "\u00e9\n"}, ("milliseconds",), "def"
    )
    request = JobRequest(JOB, context, attempt=2, source=source)
    line = format_request(request)
    assert "\n" not in line
    assert parse_request(line) == request
    result = JobResult(JOB, "trained", metrics={"mAP50-95": 0.5}, metric="mAP50-95", epochs=3, seconds=1.5)
    assert parse_event(format_event(result)) == JobEnded(7, result)
    stage = StageBegan(7, "finetune", restored=True)
    assert parse_event(format_event(stage)) == stage
    assert parse_event("Traceback (most recent call last):") is None


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, {}),
        ({"SLURM_CPUS_PER_TASK": "4"}, {"OMP_NUM_THREADS": "4"}),
        ({"SLURM_CPUS_PER_TASK": "4", "OMP_NUM_THREADS": "2"}, {}),
    ],
)
def test_threads_are_the_cpus_that_slurm_gave_unless_they_are_set(environment, threads):
    assert choose_threads(environment) == threads


def test_jobs_of_one_machine_use_workspaces_of_their_own_and_use_them_again(tmp_path):
    with hold_free_slot(tmp_path) as first, hold_free_slot(tmp_path) as second:
        assert first != second
    with hold_free_slot(tmp_path) as again:
        assert again == first


@pytest.mark.fault(14, "the disk of a cluster is mounted without locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_on_a_disk_without_locks_each_job_has_a_workspace_of_its_own(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    slots = set()
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        with hold_free_slot(tmp_path) as slot:
            assert slot.endswith(f"-{job}")
            slots.add(slot)
    monkeypatch.delenv("SLURM_JOB_ID")
    with hold_free_slot(tmp_path) as slot:
        slots.add(slot)
    assert len(slots) == 3
