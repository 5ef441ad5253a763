"""Sweeps in folders whose path a URI would not hold: workspaces are clones, which git makes without one."""

from __future__ import annotations

import subprocess

import pytest

from pipeline.sweep.preconditions import require_recordable_experiments


def create_repository(root, monkeypatch):
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.chdir(root)
    commit = ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a", "--allow-empty"]
    for words in (["init", "-q"], commit):
        subprocess.run(["git", *words], cwd=root, check=True)


@pytest.mark.parametrize("name", ["a?b", "100%20", "c# of d", "pr\u00fcfung", "it's here"])
def test_any_path_is_allowed(tmp_path, monkeypatch, name):
    create_repository(tmp_path / name, monkeypatch)
    require_recordable_experiments()
