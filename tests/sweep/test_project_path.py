"""A sweep in a folder whose path DVC would change in a URI is refused before its first job."""

from __future__ import annotations

import subprocess

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.preconditions import require_recordable_experiments


def create_repository(root, monkeypatch):
    root.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(root))
    monkeypatch.chdir(root)
    commit = ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a", "--allow-empty"]
    for words in (["init", "-q"], commit):
        subprocess.run(["git", *words], cwd=root, check=True)


@pytest.mark.parametrize(("name", "special"), [("a?b", r"\?"), ("100%20", "%"), ("c# of d", "#")])
def test_a_path_that_a_uri_cannot_hold_is_refused(tmp_path, monkeypatch, name, special):
    create_repository(tmp_path / name, monkeypatch)
    with pytest.raises(UserError, match=f"whose path has {special}: rename the folder"):
        require_recordable_experiments()


def test_an_apostrophe_is_no_obstacle(tmp_path, monkeypatch):
    create_repository(tmp_path / "it's here", monkeypatch)
    require_recordable_experiments()
