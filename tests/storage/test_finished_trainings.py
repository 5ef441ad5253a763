"""Outputs of finished trainings: kept, written again byte for byte, and deleted when dvc.lock names them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, TRAINING_METRICS_FILE
from pipeline.storage.files import write_file
from pipeline.storage.finished_trainings import (
    delete_recorded_outputs,
    keep_outputs,
    lock_training,
    read_finished,
    restore_outputs,
)
from pipeline.storage.scratch_folder import create_scratch_folder

OUTPUTS = (FINETUNED_FOLDER, TRAINING_METRICS_FILE)
KEY = "a" * 64


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder of a finished training whose outputs are kept; the working folder is another one."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    write_file(FINETUNED_FOLDER / "best.pt", b"weights")
    write_file(TRAINING_METRICS_FILE, '{"seconds": 1.5}\n')
    folder = create_scratch_folder("checkpoints", KEY)
    (folder / "000002-00.ckpt").write_bytes(b"no longer needed")
    (folder / "images").mkdir()
    keep_outputs(folder, OUTPUTS, facts={"summary": "good"})
    return folder


def test_kept_outputs_are_on_the_disk_before_the_checkpoints_are_deleted(kept, monkeypatch):
    """A power loss after it must not leave empty files and no checkpoint."""
    synced, sync = set(), os.fsync

    def note(handle):
        sync(handle)
        synced.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", note)
    keep_outputs(kept, OUTPUTS, facts={})
    assert {path.stat().st_ino for path in (kept / "finished").rglob("*") if path.is_file()} <= synced


def _write_dvc_lock(content: bytes) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    Path("dvc.lock").write_text(f"stages:\n  finetune:\n    outs:\n    - path: x\n      md5: {md5}\n")


def test_kept_outputs_are_written_again_and_the_checkpoints_are_gone(kept):
    assert [path.name for path in kept.iterdir()] == ["finished"]
    (FINETUNED_FOLDER / "best.pt").write_bytes(b"other")
    TRAINING_METRICS_FILE.unlink()
    assert read_finished(kept)["summary"] == "good"
    restore_outputs(kept, OUTPUTS)
    assert (FINETUNED_FOLDER / "best.pt").read_bytes() == b"weights"
    assert TRAINING_METRICS_FILE.read_text() == '{"seconds": 1.5}\n'


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"weight"), Path.unlink])
@pytest.mark.fault(11, "kept training damaged")
def test_damaged_copy_is_not_used(kept, damage):
    damage(kept / "finished" / FINETUNED_FOLDER / "best.pt")
    assert read_finished(kept) is None


@pytest.mark.parametrize(
    ("recorded", "stays"), [(b'{"seconds": 1.5}\n', False), (b'{"seconds": 1.6}\n', True), (None, True)]
)
def test_outputs_are_deleted_when_dvc_lock_of_the_working_folder_names_them(kept, recorded, stays):
    if recorded is not None:
        _write_dvc_lock(recorded)
    delete_recorded_outputs()
    assert kept.exists() is stays


@pytest.mark.usefixtures("kept")
def test_the_lock_file_of_a_training_goes_with_its_outputs():
    """Each training has one: over years there would be thousands."""
    _write_dvc_lock(b'{"seconds": 1.5}\n')
    delete_recorded_outputs()
    assert list(create_scratch_folder("locks").iterdir()) == []
    with lock_training(KEY), pytest.raises(UserError, match="another process"), lock_training(KEY):
        pass


@pytest.mark.fault(13, "kept training in use by another process")
def test_outputs_that_another_process_is_writing_again_stay(kept):
    _write_dvc_lock(b'{"seconds": 1.5}\n')
    with lock_training(KEY):
        delete_recorded_outputs()
    assert kept.exists()
    delete_recorded_outputs()
    assert not kept.exists()


def test_project_without_trainings_needs_no_scratch_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    delete_recorded_outputs()
    assert not [*tmp_path.iterdir()]


@pytest.mark.fault(14, "each job of a sweep leaves a copy of its weights")
def test_kept_outputs_that_the_lock_of_another_folder_names_are_deleted(kept, tmp_path):
    _write_dvc_lock(TRAINING_METRICS_FILE.read_bytes())
    Path("dvc.lock").rename(tmp_path / "dvc.lock")
    delete_recorded_outputs()
    assert kept.exists()
    delete_recorded_outputs(tmp_path / "dvc.lock")
    assert not kept.exists()
