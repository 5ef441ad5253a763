"""Jobs of the tiny project on a cluster, without the rest of a sweep."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from pipeline.sweep.job import JobEnded, JobResult, SweepContext, SweepJob
from pipeline.sweep.workspaces.sweep_commit import create_sweep_commit
from tests.e2e.conftest import Project


def build_job(number: int, *overrides: str) -> SweepJob:
    """Return a job; those of a test share the results of `prepare`."""
    return SweepJob(number, number, 0, overrides, " ".join(overrides), f"try-{number}", shared="same")


def build_context(project: Project, name: str = "try") -> SweepContext:
    """Return the context of a sweep, as `pipeline.sweep.run` makes it."""
    folder = project.folder / ".finetrack/sweeps" / name
    folder.mkdir(parents=True, exist_ok=True)
    commit = create_sweep_commit(project.folder, name)
    return SweepContext(name, project.folder, folder, commit.commit, {}, (), commit.baseline)


@contextmanager
def user_environment(project: Project):
    """Work in the project, with its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.folder)
        for key, value in project.environment.items():
            patch.setenv(key, value)
        patch.delenv("DVC_ROOT", raising=False)
        yield patch


def wait_for_results(events: Queue, numbers: Iterable[int], seconds: float = 120.0) -> dict[int, JobResult]:
    """Return how jobs ended."""
    missing, found = set(numbers), {}
    deadline = time.monotonic() + seconds
    while missing:
        event = events.get(timeout=max(0.1, deadline - time.monotonic()))
        if isinstance(event, JobEnded):
            assert event.number in missing, "a job ended twice"
            missing.remove(event.number)
            found[event.number] = event.result
    return found


def wait_for_file(path: Path, seconds: float = 60.0) -> str:
    """Wait until a file has contents."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.05)
    return path.read_text()


def wait_at_each_job(project: Project) -> None:
    """Let each training say that it runs, and wait for a file."""
    project.edit("tiny.py", '/ ".finetrack/waiting")', '/ f".finetrack/waiting-{lr0}")')
    loop = 'while not (root / ".finetrack/go-on").exists():\n            time.sleep(0.1)'
    project.edit("tiny.py", "time.sleep(600)", loop)
    project.commit()
