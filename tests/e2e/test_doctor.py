"""`finetrack doctor` as typed, in projects that are broken in many ways at once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.doctor.check_list import CHECKS
from tests.e2e.conftest import ROOT, Project


def examine(project: Project, *words: str, status: int = 1, isolated: bool = False) -> dict:
    """Run the doctor, and return its JSON.

    Args:
        project: The project.
        *words: Further arguments.
        status: Its exit code.
        isolated: Without the packages of this Python.
    """
    command = [sys.executable, *(["-S"] if isolated else []), "-m", "pipeline", "doctor", "--json", *words]
    done = subprocess.run(
        command, cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def find_states(report: dict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in report["findings"]:
        found.setdefault(finding["check"], set()).add(finding["state"])
    return found


def list_contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if "__pycache__" not in path.parts and path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def bare(tmp_path) -> Project:
    """A project's code and configuration without a repository, and nothing of a run."""
    for part in (".dvc/config", "conf", "pipeline", "dvc.yaml", "hydra_plugins"):
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy2)(ROOT / part, tmp_path / part)
    return Project(tmp_path, {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent), "OMP_NUM_THREADS": ""})


def test_nothing_is_written_and_each_check_reports(bare):
    before = list_contents(bare.folder)
    report = examine(bare)
    found = find_states(report)
    assert found.keys() == {check.name for check in CHECKS}
    assert found["git"] == {"fault"}
    for name in ("python", "config", "DVC cache", "DVC remote", "locks", "MLflow", "records", "torch"):
        assert found[name] == {"ok"}, [item for item in report["findings"] if item["check"] == name]
    assert list_contents(bare.folder) == before
    assert not (bare.folder / ".finetrack").exists()


@pytest.mark.fault(11, "a project in which everything is damaged")
def test_a_project_in_which_everything_is_damaged_is_examined(bare):
    for name, content in {
        "params.yaml": "data: [unclosed\n",
        "conf/config.yaml": "defaults: {\n",
        "compose.lock.json": "{",
        "dvc.lock": "<<<<<<< HEAD\n",
        "dvc.yaml": "stages: [",
        ".dvc/config": "[core",
        "mlflow.db": "no database",
        "models/finetuned/run.json": "{",
        ".dvc/tmp/rwlock": "{",
        ".finetrack/outbox/abc/head.json": "{",
        "requirements.lock": "torch==0.0.1\n",
        ".git": "gitdir: /nowhere\n",
    }.items():
        (bare.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (bare.folder / name).write_text(content)
    found = find_states(examine(bare))
    for name in ("git", "config", "DVC cache", "DVC remote", "MLflow", "records", "locks"):
        assert "fault" in found[name], name
    assert found["packages"] == {"warning"}
    assert found["torch"] == {"ok"}


@pytest.mark.slow  # test_run_checks.py covers a check whose package is missing
@pytest.mark.fault(15, "a Python without the project's packages")
def test_without_any_package_the_doctor_says_so(bare):
    (bare.folder / "requirements.lock").write_text("torch==2.0\ndvc==3.0\n")
    found = find_states(examine(bare, isolated=True))
    assert found["packages"] == {"warning"}
    assert found["DVC cache"] == {"fault"}
    assert found["config"] == {"fault"}
    assert found["python"] == {"ok"}


@pytest.mark.fault(13, "what killed commands left")
def test_fix_mends_what_is_safe_and_says_so(bare):
    bare.run("git init -q && git add dvc.yaml && git commit -qm start")
    lock = bare.folder / ".git/index.lock"
    left, kept = (
        bare.folder / "data/.prepared.tmp-abcdefgh",
        bare.folder / ".finetrack/checkpoints/key/last.pt",
    )
    rwlock = bare.folder / ".dvc/tmp/rwlock"
    for path in (left / "a.jpg", kept, rwlock):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    lock.touch()
    for path in (lock, left):
        os.utime(path, (time.time() - 3600,) * 2)
    rwlock.write_text(json.dumps({"write": {"/a": {"pid": 4_194_000, "cmd": "dvc repro"}}}))
    before = list_contents(bare.folder)
    report = examine(bare, "--fix", status=0)
    assert [item["check"] for item in report["repairs"] if item["done"]] == ["locks", "locks", "leftovers"]
    assert not lock.exists()
    assert not left.exists()
    assert kept.exists()
    after = list_contents(bare.folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {".git/index.lock", "data/.prepared.tmp-abcdefgh/a.jpg", ".dvc/tmp/rwlock"}
    assert find_states(report)["locks"] == find_states(report)["leftovers"] == {"ok"}
