"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from pipeline.core.findings import FindingKind
from tests.contracts import module_map

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
BARRED = {"utils", "helpers", "common", "base", "manager", "misc"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_stays_readable(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 300
    assert path.stem not in BARRED
    assert ast.get_docstring(ast.parse(path.read_text())), "the first line says what the module is for"


def test_the_map_of_the_modules_is_up_to_date():
    assert module_map.read_map() == module_map.render_map(), "run `make map`"


def test_no_folder_is_a_flat_drawer():
    crowded = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py")))
        for folder in {path.parent for path in MODULES}
        if len(list(folder.glob("*.py"))) > 16  # 15 modules and __init__
    }
    assert crowded == {}


def test_a_class_name_exists_once():
    names = [
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, number in Counter(names).items() if number > 1] == []


def test_every_kind_of_defect_is_explained():
    explained = (ROOT / "docs/decisions/defects.md").read_text()
    assert [kind for kind in get_args(FindingKind) if f"`{kind}`" not in explained] == []


def test_the_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?m)(?:^\s*|`)make ([a-z-]+)", (ROOT / "README.md").read_text()))
    assert named <= targets


def test_every_target_is_phony_and_explained():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"^([a-z-]+):.*## \S", makefile, re.MULTILINE)
    assert phony
    assert set(phony.group(1).split()) == set(explained)


def make(folder: Path, target: str, **variables: str) -> str:
    """Run a target of the Makefile as in a project of that folder; `show` says where temporary files go."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "show.mk").write_text("show: ; @printenv TMPDIR || echo elsewhere\n")
    files = ["--no-print-directory", "-f", "Makefile", "-f", "show.mk"]
    words = ["make", *files, *target.split(), *(f"{k}={v}" for k, v in variables.items())]
    environment = {name: value for name, value in os.environ.items() if name not in {"TMPDIR", "MAKEFLAGS"}}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_folder_with_a_blank_is_written_into_and_nothing_beside_it(tmp_path):
    folder = tmp_path / "My Projects/finetrack"
    make(folder, "help")
    assert [path.name for path in tmp_path.iterdir()] == ["My Projects"]
    assert {path.name for path in folder.iterdir()} == {"Makefile", "show.mk", ".finetrack"}


@pytest.mark.parametrize(("depth", "fits"), [(1, True), (80, False)])
def test_in_a_deep_folder_sockets_still_find_room_for_their_names(depth, fits):
    """Those of the loader's processes; one that finds none leaves the training waiting for good."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # pytest's own folders are deep
        folder = Path(short) / ("d" * depth)
        assert make(folder, "show") == (f"{folder}/.finetrack/tmp" if fits else "elsewhere")


def test_variables_of_the_environment_neither_open_the_ui_to_others_nor_push_a_branch(tmp_path, monkeypatch):
    """Conda's compilers and tcsh have a HOST, scripts of a CI a BRANCH."""
    for path in ("requirements.lock", ".venv/.installed", ".dvc/config.local"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    for name, value in {"HOST": "0.0.0.0", "PORT": "8080", "BRANCH": "main", "REMOTE": "other"}.items():
        monkeypatch.setenv(name, value)
    said = [make(tmp_path, f"--dry-run {target}").splitlines()[-1] for target in ("ui", "push", "pull")]
    assert [line.partition(" -m ")[2].strip() for line in said] == [
        "pipeline ui --host 127.0.0.1 --port 5001",
        "pipeline push",
        "pipeline pull",
    ]
    assert make(tmp_path, "--dry-run ui", HOST="0.0.0.0").endswith("--host 0.0.0.0 --port 5001")
    assert make(tmp_path, "--dry-run push", BRANCH="1", REMOTE="store").endswith("--remote store --branch")


def test_a_virtual_environment_whose_creation_was_stopped_is_made_anew(tmp_path):
    """Python is there first, pip last; the stand-in notes what it is asked for."""
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/asked"\n')
    python.chmod(0o755)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / ".dvc").mkdir()
    make(tmp_path, "setup", PYTHON=str(python))
    assert "-m venv .venv\n" in (tmp_path / "asked").read_text()


def test_dvcs_folder_follows_a_project_that_was_moved(tmp_path):
    """It has to be absolute: DVC takes a relative one from wherever it is typed."""
    old, new = tmp_path / "far/there", tmp_path / "there"
    (old / ".dvc").mkdir(parents=True)
    for path in ("requirements.lock", ".venv/.installed"):
        (old / path).parent.mkdir(exist_ok=True)
        (old / path).touch()
    make(old, "setup")
    local = old / ".dvc/config.local"
    own = "['remote \"team\"']\n    password = secret\n"
    assert local.read_text() == f"[core]\n    site_cache_dir = {old}/.finetrack/dvc/site\n"
    local.write_text(local.read_text() + own)
    local.chmod(0o600)
    make(old, "setup")
    old.rename(new)
    make(new, "setup")
    local = new / ".dvc/config.local"
    assert local.read_text() == f"[core]\n    site_cache_dir = {new}/.finetrack/dvc/site\n{own}"
    assert local.stat().st_mode & 0o777 == 0o600


@pytest.mark.fault(3, "a project folder with a quote, a comma or a # in its name")
@pytest.mark.parametrize("name", ["o'brien", "a #1, b", "büro", 'say "a"', "1 $HOME `a`"])
def test_dvc_and_temporary_files_stay_in_a_project_of_any_name(tmp_path, name):
    from dvc.config import Config

    folder = tmp_path / name
    for path in (".dvc/tmp", "requirements.lock", ".venv/.installed"):
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).touch()
    local = folder / ".dvc/config.local"
    for _ in range(2):
        make(folder, "setup")
        text = local.read_text()
        assert Config(str(folder / ".dvc"))["core"]["site_cache_dir"] == f"{folder}/.finetrack/dvc/site"
        if name == "a #1, b":  # as an earlier version wrote it
            local.write_text(f"[core]\n    site_cache_dir = {folder}/.finetrack/dvc/site\n")
    make(folder, "setup")
    assert local.read_text() == text
    assert (folder / ".finetrack/tmp").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("own", ["[core]\n    site_cache_dir = /fast/disk\n", "[cache]\n    type = copy\n"])
def test_what_a_user_says_to_dvc_stays(tmp_path, own):
    for path in (".dvc/config.local", "requirements.lock", ".venv/.installed"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(own)
    make(tmp_path, "setup")
    assert (tmp_path / ".dvc/config.local").read_text() == own


def test_no_package_index_is_named():
    for path in ("requirements.lock", "pyproject.toml", "Makefile", ".ci/run"):
        assert not re.search(r"(?<!no-emit-)index-url|pypi\.org", (ROOT / path).read_text()), path


def test_every_package_is_in_the_contracts():
    """A new package must be in the layers, and in each contract that keeps a library behind one door."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    packages = {f"pipeline.{path.parent.name}" for path in (ROOT / "pipeline").glob("*/__init__.py")}
    packages.add("pipeline.__main__")
    layered = {name for layer in contracts[0]["layers"] for name in layer.split(" | ")}
    assert layered == packages
    for contract in contracts[2:]:
        named = {".".join(module.split(".")[:2]) for module in contract["source_modules"]}
        doors = set(re.findall(r"pipeline\.\w+", contract["name"]))
        assert packages - named <= doors, contract["name"]


def test_json_that_is_written_is_json():
    """`NaN`, which Python writes by default, is none: other readers refuse the whole file."""
    reads = ROOT / "pipeline/source/reading/parsing.py"  # to encode again what users wrote
    calls = [
        (path.relative_to(ROOT), node.lineno, {keyword.arg for keyword in node.keywords})
        for path in MODULES
        if path != reads
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"json.dump", "json.dumps"}
    ]
    assert len(calls) > 30
    assert [(str(path), line) for path, line, keywords in calls if "allow_nan" not in keywords] == []
