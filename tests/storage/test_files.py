"""One writer per output: after `dvc` is killed its stage still runs, and a second one must not start."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def running_prepare(tmp_path):
    """A prepare that is suspended in the middle of its work."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "prepare"], cwd=tmp_path, env=environment())
    while process.poll() is None and not [*tmp_path.glob("data/.prepared.*")]:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    yield tmp_path
    process.kill()
    process.wait()


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_second_writer_is_rejected_and_first_is_unaffected(running_prepare):
    second = subprocess.run(
        [sys.executable, "-m", "pipeline", "prepare"],
        cwd=running_prepare,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("prepare: another process is at work on prepare in this folder")
    assert len([*running_prepare.glob("data/.prepared.*")]) == 1
