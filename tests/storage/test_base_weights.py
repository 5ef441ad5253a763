"""The search for base weights, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.storage.base_weights import find_base_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def test_path_is_searched_before_the_folder(tmp_path):
    assert find_base_weights("a.pt", None) is None
    (tmp_path / "store").mkdir()
    (tmp_path / "store/a.pt").write_text("in the folder")
    assert find_base_weights("a.pt", "store") == tmp_path / "store/a.pt"
    (tmp_path / "a.pt").write_text("in the root")
    assert find_base_weights("a.pt", "store") == tmp_path / "a.pt"
    assert find_base_weights(str(tmp_path / "store/a.pt"), None) == tmp_path / "store/a.pt"


def test_temporary_copy_of_the_project_finds_its_weights(tmp_path, monkeypatch):
    (tmp_path / "a.pt").write_text("x")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert find_base_weights("a.pt", None) == tmp_path / "a.pt"


def test_search_does_not_import_torch():
    code = "import sys, pipeline.storage.base_weights; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
