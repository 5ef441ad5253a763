"""A stage reads the images and weights whose fingerprints DVC records: no others that took their place."""

from __future__ import annotations

import pytest

from pipeline.compose.input_fingerprints import RESTORED_KEY, fingerprint_inputs
from pipeline.compose.recorded_inputs import require_recorded_inputs
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from tests.builders import prepared_dataset

FILES = {
    "model.weights": "nets/w.pt",
    "finetune.distill_model": "nets/t.pt",
    "model.architecture": "nets/a.yaml",
}


@pytest.fixture
def values(tmp_path, monkeypatch):
    """A configuration whose inputs are all files of the project, and a prepared dataset."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("images/a.jpg", *FILES.values()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    prepared_dataset(tmp_path / PREPARED_FOLDER, images={"train": 1, "val": 1, "test": 1}, pixels=32)
    return {
        "data": {"format": "yolo", "source": "images", "task": "auto"},
        "model": {"weights": "nets/w.pt", "folder": None, "sha256": None, "architecture": "nets/a.yaml"},
        "finetune": {"strategy": "full", "distill_model": "nets/t.pt"},
    }


def test_inputs_that_compose_saw_are_used(values):
    lock, _ = fingerprint_inputs(values, {})
    for stage in ("prepare", "augment", "finetune", "evaluate"):
        require_recorded_inputs(stage, values, lock)
        require_recorded_inputs(stage, values, {})


@pytest.mark.fault(3, "weights change between compose and finetune")
@pytest.mark.parametrize("key", FILES)
@pytest.mark.parametrize("change", ["changed", "gone"])
def test_weights_that_changed_since_compose_stop_finetune(values, tmp_path, key, change):
    lock, _ = fingerprint_inputs(values, {})
    file = tmp_path / FILES[key]
    file.write_bytes(b"other") if change == "changed" else file.unlink()
    expected = "changed since compose" if change == "changed" else "is not on this machine"
    with pytest.raises(UserError, match=rf"^{key}={FILES[key]} {expected}"):
        require_recorded_inputs("finetune", values, lock)
    require_recorded_inputs("augment", values, lock)


@pytest.mark.fault(3, "own weights under an official name are replaced by a download")
def test_a_record_of_own_weights_does_not_stand_for_ultralytics_weights_of_that_name(values, tmp_path):
    values["model"] |= {"weights": "yolo26n.pt", "folder": "nets"}
    (tmp_path / "nets/yolo26n.pt").write_bytes(b"own")
    lock, _ = fingerprint_inputs(values, {})
    (tmp_path / "nets/yolo26n.pt").unlink()
    entries, notes = fingerprint_inputs(values, lock)
    assert entries["weights"] == lock["weights"]
    assert len(notes) == 1
    with pytest.raises(UserError, match="is not on this machine, and the results are recorded for the file"):
        require_recorded_inputs("finetune", values, entries)


def test_weights_to_be_downloaded_are_used_as_they_are_recorded(values, tmp_path):
    values["model"]["weights"] = "yolo26n.pt"
    lock, _ = fingerprint_inputs(values, {})
    require_recorded_inputs("finetune", values, lock)
    (tmp_path / "yolo26n.pt").write_bytes(b"it appeared since")
    with pytest.raises(UserError, match="changed since compose"):
        require_recorded_inputs("finetune", values, lock)


@pytest.mark.parametrize("change", ["none", "appeared", "changed", "gone"])
def test_weights_of_the_task_that_prepare_found_are_those_that_compose_saw(values, tmp_path, change):
    from tests.task_sets import prepared

    values["model"]["weights"] = "yolo26n.pt"
    file = tmp_path / "yolo26n-seg.pt"
    if change in {"changed", "gone"}:
        file.write_bytes(b"for segment")
    lock, _ = fingerprint_inputs(values, {})
    prepared(tmp_path / "other", "segment", images={"train": 1, "val": 1, "test": 1})
    (tmp_path / "other/manifest.json").replace(tmp_path / PREPARED_FOLDER / "manifest.json")
    if change == "none":
        require_recorded_inputs("finetune", values, lock)
        return
    file.unlink() if change == "gone" else file.write_bytes(b"another")
    with pytest.raises(UserError, match=r"model\.weights=yolo26n-seg\.pt"):
        require_recorded_inputs("finetune", values, lock)


@pytest.mark.fault(3, "prepare runs in a restored iteration whose images have changed since")
def test_changed_images_of_a_restored_iteration_say_how_to_use_them(values, tmp_path):
    lock, _ = fingerprint_inputs(values, {})
    (tmp_path / "images/b.jpg").write_bytes(b"b")
    held, _ = fingerprint_inputs(values, {**lock, RESTORED_KEY: "a run"})
    with pytest.raises(UserError, match=f"delete `{RESTORED_KEY}`"):
        require_recorded_inputs("prepare", values, held)
    require_recorded_inputs("finetune", values, held)
