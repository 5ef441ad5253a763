"""One writer per output: a killed `dvc` leaves its stage at work, and the next run must not meet it."""

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
def at_work(tmp_path):
    """A prepare that was left behind, held still in the middle of its work."""
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


def test_a_second_writer_is_refused_and_the_first_goes_on(at_work):
    second = subprocess.run(
        [sys.executable, "-m", "pipeline", "prepare"],
        cwd=at_work,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("prepare: another process is at work on prepare in this folder")
    assert len([*at_work.glob("data/.prepared.*")]) == 1
