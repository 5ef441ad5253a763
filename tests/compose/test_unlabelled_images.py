"""The fingerprint of data.unlabelled_source: changed pseudo-labels rerun `prepare`."""

from __future__ import annotations

import pytest

from pipeline.compose.input_fingerprints import NO_UNLABELLED, fingerprint_inputs
from pipeline.compose.recorded_inputs import require_recorded_inputs
from pipeline.core.errors import UserError


@pytest.fixture
def values(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("images/a.jpg", "more/images/b.jpg", "more/pseudo.json", "w.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(name.encode())
    return {
        "data": {"format": "yolo", "source": "images", "task": "detect", "unlabelled_source": "more"},
        "model": {"weights": "w.pt", "folder": None, "sha256": None, "architecture": "yolo26n.yaml"},
        "finetune": {"strategy": "full", "distill_model": None},
    }


def choose(values, path):
    return {**values, "data": {**values["data"], "unlabelled_source": path}}


def test_its_contents_decide_and_none_is_recorded_as_such(values, tmp_path):
    none, _ = fingerprint_inputs(choose(values, None), {})
    first, _ = fingerprint_inputs(values, {})
    (tmp_path / "more/images/b.jpg").write_bytes(b"others")
    second, _ = fingerprint_inputs(values, first)
    assert none["unlabelled"] == NO_UNLABELLED
    assert len({none["unlabelled"], first["unlabelled"], second["unlabelled"]}) == 3
    assert none["source"] == second["source"]


def test_where_it_is_absent_its_record_stands(values, tmp_path):
    lock, _ = fingerprint_inputs(values, {})
    (tmp_path / "more").rename(tmp_path / "gone")
    entries, notes = fingerprint_inputs(values, lock)
    assert entries == lock
    assert notes == ["data.unlabelled_source=more is not on this machine: its recorded fingerprint stands"]
    with pytest.raises(UserError, match=r"^data\.unlabelled_source=more does not exist"):
        fingerprint_inputs(values, {})


@pytest.mark.fault(3, "pseudo-labels change between compose and prepare")
def test_labels_that_changed_since_compose_stop_prepare(values, tmp_path):
    lock, _ = fingerprint_inputs(values, {})
    require_recorded_inputs("prepare", values, lock)
    (tmp_path / "more/pseudo.json").write_bytes(b"another one")
    with pytest.raises(UserError, match=r"^data\.unlabelled_source=more changed since compose"):
        require_recorded_inputs("prepare", values, lock)
    require_recorded_inputs("augment", values, lock)


@pytest.mark.fault(9, "data.unlabelled_source overlaps with an output, or with data.source")
@pytest.mark.parametrize("path", ["data/prepared", ".", "images", "images/more", ".finetrack/x"])
def test_it_is_a_folder_of_its_own(values, path):
    with pytest.raises(UserError, match=r"data\.unlabelled_source=.* overlap"):
        fingerprint_inputs(choose(values, path), {})


@pytest.mark.fault(9, "a file stands for the folder of data.unlabelled_source, and data.source is in it")
def test_a_file_in_it_stands_for_it(values):
    inner = {**values, "data": {**values["data"], "source": "more/images"}}
    with pytest.raises(UserError, match=r"data\.unlabelled_source=.* overlap"):
        fingerprint_inputs(choose(inner, "more/pseudo.json"), {})
