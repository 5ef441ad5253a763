"""Commands and stages on terminals whose encoding lacks the letters of a class name or a path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sources

pytestmark = pytest.mark.usefixtures("another_project")

ROOT = Path(__file__).parents[2]
NAMES = ["caf\u00e9", "\u6a58\u5b50", "\U0001f431"]
PREPARE = """
import sys
from pathlib import Path
import pipeline.compose.run_stage
from pipeline.__main__ import main
from pipeline.prepare.stage import run_stage
from tests.sources import prepare_config
pipeline.compose.run_stage.run_stage = lambda _: run_stage(prepare_config("yolo", Path(sys.argv[1])))
sys.exit(main(["prepare"]))
"""


@pytest.fixture
def dataset(tmp_path) -> Path:
    folder = tmp_path / "daten \u6a58"
    labels = {f"{n}\u00e9": f"{n % 3} 0.5 0.5 0.2 0.4\n" for n in range(9)}
    return sources.write_yolo_source(folder, labels, names=NAMES)


def run(encoding: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=cwd, env=variables, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_the_encoding_lacks_are_escaped_by_inspect(dataset, encoding):
    done = run(encoding, "-m", "pipeline", "inspect", str(dataset), cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode(encoding).splitlines()
    for name in NAMES:
        escaped = name.encode(encoding, "backslashreplace").decode(encoding)
        assert sum(line.startswith(f"{escaped} ") for line in lines) == 1
    if encoding != "utf-8":
        table = [line for line in lines if line.endswith("       3")]
        assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_json_of_inspect_is_valid_in_every_encoding(dataset, encoding):
    done = run(encoding, "-m", "pipeline", "inspect", str(dataset), "--json", cwd=ROOT)
    assert json.loads(done.stdout.decode(encoding))["names"] == NAMES


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_prepare_prints_escaped_names(dataset, tmp_path, encoding):
    done = run(encoding, "-c", PREPARE, str(dataset), cwd=tmp_path)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr  # it may say that no installed font has the letters
    assert "\\u6a58\\u5b50 3" in done.stdout.decode(encoding)


def test_errors_are_sentences_in_ascii_too(tmp_path):
    for words in (("inspect", "gone \u6a58"), ("sweep", "\u6a58=1,2"), ("\u6a58",)):
        done = run("ascii:strict", "-m", "pipeline", *words, cwd=tmp_path)
        assert done.returncode in {1, 2}
        assert b"Traceback" not in done.stderr
