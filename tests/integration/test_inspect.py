"""`python -m pipeline inspect`, as a user types it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests import sources

ROOT = Path(__file__).parents[2]
LABEL = "1 0.5 0.5 0.2 0.4\n"


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Four images: a sound one, a background, one cut short, one with a line that is no label."""
    monkeypatch.chdir(tmp_path)
    folder = sources.yolo(
        tmp_path / "set", {"a": LABEL, "b": "", "c": LABEL, "d": LABEL + "x\n"}, train="images"
    )
    cut = folder / "images/c.jpg"
    cut.write_bytes(cut.read_bytes()[:400])
    return folder


def everything(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


def test_images_are_really_looked_at_and_nothing_is_written(dataset, tmp_path, capsys):
    before = everything(tmp_path)
    assert main(["inspect", str(dataset), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert everything(tmp_path) == before
    assert (seen["format"], seen["task"], seen["names"]) == ("yolo", "detect", ["a", "b"])
    assert (seen["found"], seen["used"]) == (4, 3)
    assert seen["images"] == {"train": 3}
    assert seen["backgrounds"] == {"train": 1}
    assert seen["objects"] == {"train": {"a": 0, "b": 2}}
    found = {(defect["file"], defect["verdict"]) for defect in seen["defects"]}
    assert found == {("images/c.jpg", "quarantined"), ("images/d.jpg", "dropped-object")}


def test_for_a_person(dataset, capsys):
    assert main(["inspect", str(dataset)]) == 0
    text = capsys.readouterr().out
    assert "  images   3 of 4 can be used\n" in text
    assert "images/d.jpg: line 2: not a label: 'x'" in text


def test_an_archive(dataset, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(dataset.rglob("*")):
            archive.write(path, Path("outer") / path.relative_to(dataset))
    assert main(["inspect", str(tmp_path / "set.zip"), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["found"], seen["used"]) == (4, 3)
    assert {defect["file"] for defect in seen["defects"]} == {"outer/images/c.jpg", "outer/images/d.jpg"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone"], "gone"),
        (["set/labels"], "no annotations recognised in"),
        (["set", "--format", "jolo"], "no format is called jolo"),
        (["set", "--format", "voc"], "no VOC annotations in"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(dataset, capsys, arguments, sentence):
    assert dataset.is_dir()
    assert main(["inspect", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("inspect: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_neither_torch_nor_mlflow_is_loaded():
    code = (
        "import sys, pipeline.inspect as i; from pipeline.edges import datasets; datasets.formats();"
        "print(sorted({'torch', 'mlflow', 'ultralytics', 'supervision', 'hydra'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.strip() == "[]"


def test_a_reader_that_has_seen_enough_is_no_error(dataset):
    command = f"{sys.executable} -m pipeline inspect {dataset} --json | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
