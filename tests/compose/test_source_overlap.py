"""The commands that look at a source refuse the same ones as `dvc repro`, with the same sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.fault(9, "`use` or `inspect` of a folder with outputs")
@pytest.mark.parametrize("command", ["use", "inspect"])
@pytest.mark.parametrize("place", ["data", "data/prepared", ".", "link", "images"])
def test_use_and_inspect_refuse_what_the_project_writes(tmp_path, monkeypatch, capsys, command, place):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for part in ("data/prepared", "images/deep"):
        (tmp_path / part).mkdir(parents=True)
    for link in ("link", "images/deep/link"):
        (tmp_path / link).symlink_to(tmp_path / "data")
    assert main([command, place], tmp_path) == 1
    said = capsys.readouterr().err
    assert "data/prepared, which this project writes: keep source images in a folder of their own" in said
