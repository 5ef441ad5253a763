"""`finetrack predict` as typed: paths, wrong arguments, exit codes, and the end of a killed process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.predict.conftest import WEIGHTS, write_images

ROOT = Path(__file__).parents[2]
SMALL = ["--imgsz", "64", "--device", "cpu", "--threads", "1"]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_paths_are_those_of_the_folder_where_the_user_is(source, tmp_path, capsys):
    words = ["predict", "source", "--formats", "csv", "--output", "found", "--model", str(WEIGHTS), *SMALL]
    assert main(words, tmp_path) == 0
    assert sorted(path.name for path in (tmp_path / "found").iterdir() if path.name[0] != ".") == [
        "predictions.csv", "settings.json",
    ]  # fmt: skip
    (source / "bad.jpg").write_bytes(b"no image")
    assert main(words, tmp_path) == 1
    assert "1 of 8 files could not be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--conf", "1.5"], ["--tile", "5"], ["--overlap", "0.9"], ["--formats", "xml"], ["--imgsz", "0"],
        ["--model", "no-such-model.pt"],
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_before_anything_is_written(source, tmp_path, capsys, words):
    assert main(["predict", str(source), "--output", str(tmp_path / "out"), *words]) == 1
    assert capsys.readouterr().err.startswith("predict: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.fault(4, "a prediction is killed")
def test_a_killed_process_goes_on(tmp_path):
    source, out = write_images(tmp_path / "many", count=400), tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "predict", str(source), "--model", str(WEIGHTS)]
    command += ["--output", str(out), "--conf", "0.05", *SMALL]
    killed = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    journal = out / ".journal.jsonl"
    while killed.poll() is None and not (journal.exists() and journal.stat().st_size > 20_000):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (out / "predictions.json").exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "done before" in done.stdout
    coco = json.loads((out / "predictions.json").read_text())
    assert len({image["file_name"] for image in coco["images"]}) == len(coco["images"]) == 400
    assert len(list((out / "pictures").rglob("*.jpg"))) == len(list((out / "labels").rglob("*.txt"))) == 400
    assert not list(out.rglob("*.part"))
