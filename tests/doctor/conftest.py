"""A project's folder, empty at first: each test plants what its check is to find."""

from __future__ import annotations

import os
import subprocess

import pytest

from pipeline.doctor.examined_project import ExaminedProject


@pytest.fixture
def project(tmp_path, monkeypatch) -> ExaminedProject:
    for name in ("DVC_ROOT", "FINETRACK_ROOT", "GIT_DIR", "GIT_WORK_TREE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "me")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "me@example.org")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return ExaminedProject(folder)


@pytest.fixture
def repository(project) -> ExaminedProject:
    """The project as a git repository with a commit."""
    run_git(project, "init", "--quiet")
    (project.root / "code.py").write_text("1")
    run_git(project, "add", ".")
    run_git(project, "commit", "--quiet", "-m", "start")
    return project


def run_git(project: ExaminedProject, *words: str, **variables: str) -> str:
    """Run git in the project."""
    command = ["git", "-C", str(project.root), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | variables)
    return done.stdout.strip()


@pytest.fixture
def git():
    return run_git


@pytest.fixture
def states():
    """Return the states of the findings of a check."""
    return lambda findings: [finding.state for finding in findings]
