"""`finetrack export` as a user types it, from a folder of the project."""

import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_file_of_weights_is_exported_to_the_folder_where_the_command_was_typed(
    labelled,
    tmp_path,
    monkeypatch,
    capsys,
):
    root = tmp_path / "project"
    shutil.copytree(labelled, root)
    shutil.copytree(ROOT / "conf", root / "conf")
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (root / "below").mkdir()
    shutil.move(root / "best.pt", root / "below/best.pt")
    status = main(["export", "best.pt", "--format", "torchscript", "--output", "."], root / "below")
    said = capsys.readouterr()
    assert status == 0, said.err
    assert "torchscript-fp32" in said.out
    assert (root / "below/best-fp32.torchscript").is_file()
    assert not (root / "models").exists()
