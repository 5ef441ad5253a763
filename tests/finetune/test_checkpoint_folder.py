"""Checkpoints of trainings that were stopped: who may use them, and when they go."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.finetune.checkpoint_folder import forget_abandoned, one_training
from pipeline.storage import files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def stopped(key: str, *, days: float) -> Path:
    """Leave a checkpoint behind, so many days ago."""
    folder = files.scratch("checkpoints", key)
    (folder / "a.ckpt").write_bytes(b"x" * 2_000_000)
    then = time.time() - days * 86_400
    os.utime(folder, (then, then))
    return folder


def test_what_nobody_went_on_with_for_a_month_goes_with_a_word():
    stays, goes = stopped("a" * 64, days=29), stopped("b" * 64, days=31)
    own = stopped("c" * 64, days=99)
    assert forget_abandoned("c" * 64) == [
        "deleted the checkpoints of 1 training that was stopped more than 30 days ago (2 MB)"
    ]
    assert (stays.exists(), goes.exists(), own.exists()) == (True, False, True)
    assert forget_abandoned("c" * 64) == []


def test_what_another_process_holds_stays(project):
    code = """
import sys, time
from pipeline.finetune import checkpoint_folder
with checkpoint_folder.one_training("d" * 64):
    print("held", flush=True)
    time.sleep(100)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(project)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        held = stopped("d" * 64, days=99)
        assert forget_abandoned("c" * 64) == []
        with pytest.raises(UserError, match="another process is at work on the training dddddd"):
            one_training("d" * 64).__enter__()
    finally:
        process.kill()
        process.communicate()
    assert held.exists()
    assert forget_abandoned("c" * 64)


def test_a_training_that_ends_well_leaves_no_checkpoint_and_a_failed_one_does():
    with one_training("e" * 64) as folder:
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), one_training("e" * 64) as folder:
        _ = 1 / 0
    assert folder.is_dir()
