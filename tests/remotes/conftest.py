"""A small project that DVC tracks, made by hand within a moment: no stage runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline.remotes.pull import pull_iterations
from pipeline.remotes.push import push_iterations
from pipeline.remotes.sync_request import SyncRequest

PREPARED = {"images/a.jpg": b"image a", "images/b.jpg": b"image b", "labels/a.txt": b"", "labels/b.txt": b""}
WEIGHTS = b"weights of the workspace"


@dataclass(frozen=True)
class TeamProject:
    """A project with a git remote `origin` beside it, and a DVC remote `store`.

    Args:
        folder: The project.
        monkeypatch: Of the test.
    """

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def git(self, *words: str, text: str = "") -> str:
        """Run git, and return what it wrote."""
        done = subprocess.run(
            ["git", *words], cwd=self.folder, input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def push(self, **changes) -> list[str]:
        """Push in this process, as the command does."""
        self.monkeypatch.chdir(self.folder)
        return list(push_iterations(self.folder, SyncRequest(**changes)))

    def pull(self, **changes) -> list[str]:
        """Pull in this process, as the command does."""
        self.monkeypatch.chdir(self.folder)
        return list(pull_iterations(self.folder, SyncRequest(**changes)))

    def cache(self, oid: str) -> Path:
        """Return an object's file in the cache."""
        return self.folder / ".dvc/cache/files/md5" / oid[:2] / oid[2:]

    def store(self, oid: str) -> Path:
        """Return an object's file in the remote, which is a folder."""
        return self.folder.parent / "store/files/md5" / oid[:2] / oid[2:]

    def add_object(self, contents: bytes, suffix: str = "") -> str:
        """Put an object into the cache as DVC does, and return its name."""
        oid = hash_md5(contents) + suffix
        path = self.cache(oid)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
            path.chmod(0o444)
        return oid

    def add_folder(self, files: Mapping[str, bytes]) -> str:
        """Put a folder's objects into the cache, and return the name of its list."""
        rows = [{"md5": self.add_object(contents), "relpath": path} for path, contents in files.items()]
        return self.add_object(json.dumps(sorted(rows, key=lambda row: row["relpath"])).encode(), ".dir")

    def write_lock(self, prepared: str, weights: str) -> None:
        """Write dvc.lock."""
        outs = {"prepare": ("data/prepared", prepared), "finetune": ("models/best.pt", weights)}
        stages = {
            name: {"cmd": f"run {name}", "outs": [{"path": path, "hash": "md5", "md5": oid}]}
            for name, (path, oid) in outs.items()
        }
        (self.folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))

    def add_experiment(self, name: str, weights: bytes) -> str:
        """Make an experiment with other weights; return its commit."""
        own = (self.folder / "dvc.lock").read_text()
        stages = yaml.safe_load(own)["stages"]
        self.write_lock(stages["prepare"]["outs"][0]["md5"], self.add_object(weights))
        base = self.git("rev-parse", "HEAD")
        self.git("commit", "-qam", name)
        commit = self.git("rev-parse", "HEAD")
        self.git("update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", commit)
        self.git("reset", "-q", "--hard", base)
        return commit

    def clone(self, name: str = "colleague") -> TeamProject:
        """Clone the git remote as a colleague does."""
        target = self.folder.parent / name
        self.git("clone", "-q", str(self.folder.parent / "origin.git"), str(target))
        return TeamProject(target, self.monkeypatch)

    def read_prepared(self) -> dict[str, bytes]:
        """Read the prepared files of the workspace."""
        root = self.folder / "data/prepared"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")}


def hash_md5(contents: bytes) -> str:
    """Return the MD5 of contents, as DVC names them."""
    return hashlib.md5(contents, usedforsecurity=False).hexdigest()


def flip_byte(path: Path) -> None:
    """Change a byte of a file; its length, its mode and its time stay."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def _home(monkeypatch, folder: Path):
    for kind in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
        monkeypatch.setenv(f"DVC_{kind}_DIR", str(folder / kind.lower()))
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.org")
    for name in ("DVC_ROOT", "FINETRACK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    yield


@pytest.fixture
def team(tmp_path, monkeypatch) -> TeamProject:
    """A project with data and weights, committed and pushed by git, with an empty folder for a DVC remote."""
    with _home(monkeypatch, tmp_path / "home"):
        project = TeamProject(tmp_path / "project", monkeypatch)
        _write_project(project)
        yield project


def _write_project(project: TeamProject) -> None:
    folder = project.folder
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(
        "[core]\n    analytics = false\n    autostage = false\n    check_update = false\n    remote = store\n"
        f"['remote \"store\"']\n    url = {folder.parent / 'store'}\n"
    )
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("/data/prepared\n/models/best.pt\n/.finetrack\n")
    stages = {"prepare": ["data/prepared"], "finetune": ["models/best.pt"]}
    (folder / "dvc.yaml").write_text(
        yaml.safe_dump(
            {"stages": {name: {"cmd": f"run {name}", "outs": outs} for name, outs in stages.items()}}
        )
    )
    project.write_lock(project.add_folder(PREPARED), project.add_object(WEIGHTS))
    for name, contents in PREPARED.items():
        path = folder / "data/prepared" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    (folder / "models").mkdir()
    (folder / "models/best.pt").write_bytes(WEIGHTS)
    project.git("init", "-q", "-b", "main")
    project.git("add", "-A")
    project.git("commit", "-qm", "first")
    project.git("clone", "-q", "--bare", ".", "../origin.git")
    project.git("remote", "add", "origin", "../origin.git")
