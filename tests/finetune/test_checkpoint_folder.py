"""Checkpoints of stopped trainings: locking and deletion."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.finetune.checkpoint_folder import (
    delete_abandoned_checkpoints,
    identify_training,
    lock_checkpoint_folder,
)
from pipeline.storage.scratch_folder import create_scratch_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def stopped(key: str, *, days: float) -> Path:
    """Write a checkpoint of a training that stopped so many days ago."""
    folder = create_scratch_folder("checkpoints", key)
    (folder / "a.ckpt").write_bytes(b"x" * 2_000_000)
    then = time.time() - days * 86_400
    os.utime(folder, (then, then))
    return folder


def test_old_checkpoints_of_other_trainings_are_deleted_with_a_message():
    stays, goes = stopped("a" * 64, days=29), stopped("b" * 64, days=31)
    own = stopped("c" * 64, days=99)
    [line] = delete_abandoned_checkpoints("c" * 64)
    assert line == (
        "deleted the files of 1 training that was stopped, or not recorded by DVC, more than 30 days ago "
        "(2 MB)"
    )
    assert (stays.exists(), goes.exists(), own.exists()) == (True, False, True)
    assert delete_abandoned_checkpoints("c" * 64) == []


@pytest.mark.fault(13, "checkpoints in use by another process")
def test_checkpoints_locked_by_another_process_are_kept(project):
    code = """
import sys, time
from pipeline.finetune.checkpoint_folder import lock_checkpoint_folder
with lock_checkpoint_folder("d" * 64):
    print("held", flush=True)
    time.sleep(100)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(project)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        held = stopped("d" * 64, days=99)
        assert delete_abandoned_checkpoints("c" * 64) == []
        with pytest.raises(UserError, match="another process is at work on the training dddddd"):
            lock_checkpoint_folder("d" * 64).__enter__()
    finally:
        process.kill()
        process.communicate()
    assert held.exists()
    assert delete_abandoned_checkpoints("c" * 64)


def test_a_resumed_training_keeps_its_id_and_a_new_one_draws_another(tmp_path):
    first = identify_training(tmp_path, is_resumed=False)
    assert identify_training(tmp_path, is_resumed=True) == first
    second = identify_training(tmp_path, is_resumed=False)
    assert first != second == identify_training(tmp_path, is_resumed=True)


@pytest.mark.parametrize("damaged", [None, "", "[]", "{}", '{"id": "it\'s"}'])
def test_a_checkpoint_without_an_id_draws_one(tmp_path, damaged):
    """As one of an earlier version has none."""
    if damaged is not None:
        (tmp_path / "training.json").write_text(damaged)
    drawn = identify_training(tmp_path, is_resumed=True)
    assert drawn == identify_training(tmp_path, is_resumed=True)
