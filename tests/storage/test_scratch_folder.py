"""The project's folder, as its copies find it."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder, project_root


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "here"),
        ({"DVC_ROOT": "copied"}, "copied"),
        ({"DVC_ROOT": "workspace", "FINETRACK_ROOT": "project"}, "project"),
    ],
)
def test_a_workspace_of_a_sweep_belongs_to_the_project(tmp_path, monkeypatch, variables, expected):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("DVC_ROOT", "FINETRACK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in variables.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    assert project_root() == tmp_path / expected


@pytest.mark.fault(1, "a recorded SHA-256 or run that is a path")
@pytest.mark.parametrize("name", ["/home", "..", "../x", "a/b", "", "a\0"])
def test_what_is_recorded_names_no_folder_elsewhere(tmp_path, monkeypatch, name):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(UserError, match="cannot be a folder"):
        create_scratch_folder("iterations", name)
    assert not (tmp_path / ".finetrack").exists()
