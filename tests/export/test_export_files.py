"""Exported files are made and kept whole, with their facts, and never over a model of other weights."""

import json
import os

import pytest

from pipeline.core.errors import UserError
from pipeline.export.export_files import open_export_folder, require_free_target, write_export


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_file_and_folder_are_written_with_their_facts(tmp_path):
    (tmp_path / "made.onnx").write_bytes(b"file")
    (tmp_path / "made_openvino_model").mkdir()
    (tmp_path / "made_openvino_model/a.xml").write_bytes(b"part")
    file = write_export(tmp_path / "made.onnx", tmp_path / "out/part.onnx", {"weights": "w"})
    folder = write_export(tmp_path / "made_openvino_model", tmp_path / "out/part_openvino_model", {})
    assert file.read_bytes() == b"file"
    assert (folder / "a.xml").read_bytes() == b"part"
    assert json.loads((tmp_path / "out/part.onnx.json").read_text()) == {"weights": "w"}


def test_file_of_the_same_weights_is_replaced(tmp_path):
    (tmp_path / "made.onnx").write_bytes(b"file")
    target = write_export(tmp_path / "made.onnx", tmp_path / "part.onnx", {"weights": "w"})
    require_free_target(target, "w")
    require_free_target(tmp_path / "absent.onnx", "w")


@pytest.mark.fault(13, "an export would replace the file of another model")
@pytest.mark.parametrize("facts", ['{"weights": "others"}', "{}", "[]", "cut {", None])
def test_file_of_other_weights_is_not_replaced(tmp_path, facts):
    (tmp_path / "part.onnx").write_bytes(b"another model")
    if facts:
        (tmp_path / "part.onnx.json").write_text(facts)
    with pytest.raises(UserError, match="not of these weights"):
        require_free_target(tmp_path / "part.onnx", "w")


def test_folders_of_killed_processes_are_deleted(tmp_path):
    places = [tmp_path / f".finetrack/exports/export-{name}" for name in ("old", "new")]
    for place in places:
        place.mkdir(parents=True)
    os.utime(places[0], (0, 0))
    with open_export_folder() as folder:
        assert not list(folder.iterdir())
    assert [place.exists() for place in places] == [False, True]
    assert not folder.exists()
