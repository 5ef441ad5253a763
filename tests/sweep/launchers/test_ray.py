"""What the jobs of a Ray cluster share. The cluster itself: tests/e2e/test_sweep_on_ray.py."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from pipeline.storage.git_commands import run_git
from pipeline.sweep.job import SweepContext
from pipeline.sweep.launchers.ray import SharedPublisher
from pipeline.sweep.workers.remote_workspace import RemotePublisher

JOBS = 4


@pytest.fixture
def context(tmp_path):
    """A project with a remote of git and one of DVC."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\nremote = store\n['remote \"store\"']\nurl = /store\n")
    run_git(tmp_path, "remote", "add", "origin", "/elsewhere")
    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")
    commit = run_git(tmp_path, "rev-parse", "HEAD")
    return SweepContext("a", tmp_path, tmp_path / "sweep", commit, {})


def test_jobs_that_begin_together_share_one_publisher(context):
    publisher = SharedPublisher(
        lambda: RemotePublisher(context, git_remote="origin", dvc_remote=None, tracking_uri="http://a:5000")
    )
    together = Barrier(JOBS)

    def begin(_: int) -> RemotePublisher:
        together.wait()
        return publisher.get()

    with ThreadPoolExecutor(JOBS) as threads:
        assert len({id(found) for found in threads.map(begin, range(JOBS))}) == 1
