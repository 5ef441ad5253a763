"""`python -m pipeline data-diff` on a real git repository with DVC's cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.dataset.manifest import serialize_manifest
from tests.builders import prepared_dataset

DVC_YAML = """\
stages:
  prepare:
    cmd: mkdir -p data && cp -r made data/prepared
    deps: [made]
    outs: [data/prepared]
"""


def call(folder: Path, command: str) -> None:
    names = {
        f"GIT_{role}_{what}": "tests@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    home = {
        f"DVC_{name}_DIR": str(folder / ".home") for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    everything = {**kept, **names, **home, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(command, shell=True, cwd=folder, env=everything, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three commits, `empty`, `first` and `second`: without a dataset, with one, with another."""
    folder = tmp_path_factory.mktemp("project")
    call(folder, "git init -q . && dvc init -q && git commit -qm empty && git tag empty")
    (folder / "dvc.yaml").write_text(DVC_YAML)
    (folder / ".gitignore").write_text("made\n.home\n")
    for tag, images in (("first", 3), ("second", 5)):
        shutil.rmtree(folder / "made", ignore_errors=True)
        made = prepared_dataset(folder / "made", images={"train": images, "val": 1, "test": 1})
        if tag == "second":
            relabel(folder / "made", made)
        call(folder, f"dvc repro -q && git add -A && git commit -qm {tag} && git tag {tag}")
    return folder


def relabel(folder, made):
    first, *others = made.items
    items = (replace(first, labels_sha256="0" * 64), *others)
    (folder / "manifest.json").write_text(serialize_manifest(replace(made, items=items)))


@pytest.fixture(autouse=True)
def _there(project, monkeypatch):
    monkeypatch.chdir(project)
    for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE"):
        monkeypatch.setenv(f"DVC_{name}_DIR", str(project / ".home"))


def test_two_revisions_are_compared(capsys):
    assert main(["data-diff", "first", "second"]) == 0
    head, counts, *lines = capsys.readouterr().out.splitlines()
    assert head.startswith("first (")
    assert head.endswith(", 7 images)")
    assert counts == "2 added (train 2), 0 removed, 1 relabelled, 0 moved"
    assert "  train/train_003.png" in lines
    assert "  test/test_000.png: the same classes, other places" in lines


def test_backwards_what_was_added_is_removed_and_json_lists_it(capsys):
    assert main(["data-diff", "second", "first", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["file"] for row in found["removed"]] == ["train/train_003.png", "train/train_004.png"]
    assert found["old"]["revision"] == "second"
    assert found["old"]["images"] == 7
    assert not found["added"]


def test_the_workspace_is_what_lies_there(capsys):
    assert main(["data-diff", "HEAD", "workspace"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "no difference: the same images, labels and splits"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["empty", "second"], "empty has no dataset: no dvc.lock with data/prepared was committed there"),
        (["first", "nonsense"], "git knows no revision nonsense: "),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(arguments, sentence, capsys):
    assert main(["data-diff", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"data-diff: {sentence}")
    assert said.count("\n") == 1


def test_a_dataset_that_is_nowhere_to_be_had_is_told_from_none(project, capsys):
    cache = project / ".dvc/cache"
    cache.rename(project / ".dvc/away")
    try:
        assert main(["data-diff", "first", "workspace"]) == 1
    finally:
        shutil.rmtree(cache, ignore_errors=True)
        (project / ".dvc/away").rename(cache)
    assert "the dataset of first is neither in DVC's cache nor on a remote" in capsys.readouterr().err


def test_a_workspace_without_data_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["data-diff", "workspace", "workspace"]) == 1
    assert "run prepare first" in capsys.readouterr().err


def test_a_folder_without_git_says_so(monkeypatch, capsys):
    with tempfile.TemporaryDirectory(dir="/tmp") as outside:  # `make test` puts tmp_path into this repository
        monkeypatch.chdir(outside)
        assert main(["data-diff", "HEAD", "workspace"]) == 1
        monkeypatch.undo()
    assert capsys.readouterr().err.startswith("data-diff: HEAD cannot be read: ")


def test_a_manifest_of_another_version_is_refused(tmp_path, monkeypatch, capsys):
    (tmp_path / "data/prepared").mkdir(parents=True)
    (tmp_path / "data/prepared/manifest.json").write_text('{"names": ["pit"], "items": []}')
    monkeypatch.chdir(tmp_path)
    assert main(["data-diff", "workspace", "workspace"]) == 1
    assert "it may be of another version" in capsys.readouterr().err
