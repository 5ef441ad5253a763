"""The story of docs/how-to/models-in-use.md, typed in a small project."""

from __future__ import annotations

import base64
import json
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tests.e2e.conftest import ROOT, Project, create

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PAGE = (ROOT / "docs/how-to/models-in-use.md").read_text("utf-8")
SMALL = {"images": 120, "pixels": 96, "samples": 2}
NAME = "finetrack"


def commands() -> list[str]:
    """Return the commands of the page in their order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A copy of the project whose drawn images are fewer and smaller, with all that the page types done."""
    project = create(tmp_path_factory.mktemp("story") / "project")
    (project.folder / "models").mkdir(exist_ok=True)
    for part in ("models/foundation",):
        source = ROOT / part
        project.run(f"cp -r {source} {project.folder / part}")
    demo = project.folder / "conf/data/demo.yaml"
    demo.write_text(yaml.safe_dump(yaml.safe_load(demo.read_text()) | SMALL | {"imgsz": 96}))
    project.edit("conf/evaluate/default.yaml", "latency: 50", "latency: 10")
    project.commit()
    return project


@pytest.fixture(scope="module")
def typed(project) -> dict[str, list[str]]:
    """Type the commands of the page; return what each wrote, in the order in which it was typed."""
    said: dict[str, list[str]] = {}
    for command in commands():
        if command.startswith(("finetrack serve", "curl")):
            continue  # test_the_champion_answers_requests
        refused = command == "finetrack promote" and len(said.get(command, ())) == 1
        said.setdefault(command, []).append(project.run(command, fails=refused))
    return said


def list_versions(project: Project) -> dict[str, dict[str, str]]:
    """Return the tags of the versions of the registered model."""
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    return {found.version: dict(found.tags) for found in client.search_model_versions(f"name='{NAME}'")}


def test_the_first_and_the_better_model_are_promoted_and_the_worse_one_is_refused(project, typed):
    first, worse, better = typed["finetrack promote"]
    assert "promoted" in first
    assert "is not promoted" in worse
    assert re.search(r"FAILED +main", worse)
    assert "promoted" in better
    assert len(list_versions(project)) == 3


def test_the_comparison_says_that_the_better_model_is_better(project, typed):
    (said,) = typed["finetrack compare first better --html compare.html"]
    assert "better is better" in said or "no difference that 26 images could show" in said
    assert "<html" in (project.folder / "compare.html").read_text("utf-8")


def test_the_exported_file_is_measured_and_written(project, typed):
    (said,) = typed["finetrack export champion --format onnx"]
    files = [*(project.folder / "models/exported").glob("*.onnx")]
    assert len(files) == 1, said
    facts = json.loads(files[0].with_name(f"{files[0].name}.json").read_text())
    assert facts


def test_after_a_rollback_the_first_model_is_the_champion_and_is_restored_with_proof(project, typed):
    client = MlflowClient(f"sqlite:///{project.folder / 'mlflow.db'}")
    assert str(client.get_model_version_by_alias(NAME, "champion").version) == "1"
    report = json.loads((project.folder.parent / "first/.finetrack/restored.json").read_text())
    assert [check["is_proven"] for check in report["checks"]] == [True] * len(report["checks"])
    assert typed["finetrack rollback"]


def test_pictures_of_predictions_are_written(project, typed):
    (command,) = (each for each in typed if each.startswith("finetrack predict"))
    assert typed[command]
    assert [*(project.folder / "predictions").rglob("*.jpg")]


@contextmanager
def run_server(project: Project) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["python", "-m", "pipeline", "serve", "--port", str(port)]
    server = subprocess.Popen(command, cwd=project.folder, env=project.environment)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def test_the_champion_answers_requests(project, typed):
    assert typed
    image = next((project.folder / "data/prepared/images/test").glob("*"))
    body = json.dumps({"images": [base64.b64encode(Path(image).read_bytes()).decode()]}).encode()
    with run_server(project) as url:
        wait_for(f"{url}/health")
        asked = urllib.request.Request(
            f"{url}/predict", data=body, headers={"Content-Type": "application/json"}
        )
        answer = json.loads(urllib.request.urlopen(asked, timeout=60).read())
    assert answer["model"]["version"] == "1"
