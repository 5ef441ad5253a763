"""Files of weights: what `finetrack export` wrote beside them counts as long as they are the same files."""

from __future__ import annotations

import json

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.weights_file import hash_path, name_facts_file, read_weights_file

TILED = {"conf": 0.3, "tile": 640, "overlap": 0, "imgsz": 320}


@pytest.fixture(params=["part.onnx", "part_openvino_model"])
def exported(request, tmp_path):
    """An exported file, or a folder, with its facts."""
    path = tmp_path / request.param
    if path.suffix:
        path.write_bytes(b"weights")
    else:
        (path / "inner").mkdir(parents=True)
        (path / "inner/a.xml").write_bytes(b"weights")
    write_facts(path)
    return path


def write_facts(path, **changes):
    facts = {"sha256": hash_path(path), "task": "detect", "imgsz": 256, "threshold": 0.4}
    name_facts_file(path).write_text(json.dumps({**facts, "threshold_from": "val", **changes}))


def test_a_threshold_that_was_chosen_on_val_and_the_image_size_are_used(exported):
    found = read_weights_file(str(exported))
    assert (found.kind, found.label, found.task) == ("file", exported.name, "detect")
    assert found.predicts_with == {"conf": 0.4, "imgsz": 256}
    assert found.sha256 == hash_path(exported)


@pytest.mark.fault(2, "facts of another file beside a file of weights")
def test_facts_of_another_file_do_not_count(exported):
    file = exported if exported.is_file() else exported / "inner/a.xml"
    file.write_bytes(b"others")
    assert read_weights_file(str(exported)).predicts_with == {}


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"threshold_from": "default"}, {"imgsz": 256}),
        ({"threshold": None, "imgsz": "x"}, {}),
        ({"threshold": float("nan"), "imgsz": 0}, {}),
        ({"predicts_with": {"conf": 0.3, "tile": 640, "overlap": 0, "imgsz": 320, "x": 1}}, TILED),
        ({"predicts_with": {"imgsz": 320, "conf": "0.3"}}, {"imgsz": 320}),
    ],
)
def test_the_file_is_used_as_its_checkpoint(exported, changes, known):
    write_facts(exported, **changes)
    assert read_weights_file(str(exported)).predicts_with == known


@pytest.mark.parametrize("text", ["{", "[]", "null", ""])
def test_damaged_facts_do_not_count(exported, text):
    name_facts_file(exported).write_text(text)
    assert read_weights_file(str(exported)).predicts_with == {}


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no file"):
        read_weights_file(str(tmp_path / "absent.pt"))
