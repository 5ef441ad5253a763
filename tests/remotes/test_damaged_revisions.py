"""What is read of another revision, from DVC's cache or its remote, is verified."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.storage.dvc_repository import RevisionReadError, copy_path_at_revision
from tests.remotes.conftest import PREPARED, WEIGHTS, flip_byte, hash_md5

PLACES = {"data/prepared": PREPARED["images/b.jpg"], "models/best.pt": WEIGHTS}


@pytest.mark.fault(11, "contents of a revision are damaged in DVC's cache or on a remote")
@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("where", ["cache", "remote"])
def test_damaged_contents_of_a_revision_are_not_used(team, tmp_path, path, where):
    oid = hash_md5(PLACES[path])
    if where == "remote":
        team.push()
        shutil.rmtree(team.folder / ".dvc/cache")
    flip_byte(team.cache(oid) if where == "cache" else team.store(oid))
    team.monkeypatch.chdir(team.folder)
    with pytest.raises(RevisionReadError, match="is damaged in DVC's cache or on its remote"):
        copy_path_at_revision(Path(path), "HEAD", tmp_path / "copy")


@pytest.mark.parametrize("path", [*PLACES, "dvc.yaml", "data/prepared/images/a.jpg"])
def test_intact_contents_of_a_revision_are_copied(team, tmp_path, path):
    team.monkeypatch.chdir(team.folder)
    copy_path_at_revision(Path(path), "HEAD", tmp_path / "copy")
    assert (tmp_path / "copy").exists()
