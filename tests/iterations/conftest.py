"""One project with iterations of every kind, for tests that only read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.iterations import projects


class Iterations(NamedTuple):
    """The ids and commits of the project."""

    folder: Path
    first: str
    second: str
    child: str
    swept: str
    parent: str
    twins: tuple[str, str]
    recorded: str
    experiment: str


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Iterations:
    """Make the project once; its parts are in the order of time."""
    folder = tmp_path_factory.mktemp("iterations")
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        return _create(folder)


@pytest.fixture
def iterations(made, monkeypatch) -> Iterations:
    """The project, as the current folder."""
    _enter(made.folder, monkeypatch)
    return made


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("DVC_", "FINETRACK_", "GIT_"))]:
        patch.delenv(name)
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.setenv("DVC_SITE_CACHE_DIR", str(folder / ".finetrack/dvc"))
    patch.chdir(folder)


def _create(folder: Path) -> Iterations:
    projects.create_repository()
    commit = {"finetrack.git.commit": projects.git("rev-parse", "HEAD"), "finetrack.git.dirty": False}
    first = projects.train("first", tags=commit)
    projects.evaluate(first, folder=projects.write_predictions(Path("reports/evaluation"), "of first"))
    content = Path("models/finetuned/best.pt").read_bytes()
    recorded = projects.record(0.001, content=content, run_id=first, val=0.5, test=0.4, seconds=7.25)
    second = projects.train("second", 0.002, val=0.6, seconds=8.5, tags=commit)
    projects.evaluate(second, test=0.6)
    child = projects.evaluate(second, iou=0.5, test=0.55)
    parent, swept = _create_sweep()
    twins = (projects.fail("twin"), projects.train("twin", 0.1, val=0.2))
    experiment = projects.record(0.009, content=b"nine", run_id=None, val=0.7, test=0.65, seconds=3.0)
    projects.git("update-ref", "refs/exps/ab/cdef/tame-puma", experiment)
    projects.check_out(recorded)
    _register(first, second)
    return Iterations(folder, first, second, child, swept, parent, twins, recorded, experiment)


def _create_sweep() -> tuple[str, str]:
    parent = projects.sweep("lr0-1a2b3c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETRACK_PARENT_RUN", parent)
        tags = {"finetrack.sweep": "lr0-1a2b3c"}
        return parent, projects.train("lr0=0.003", 0.003, val=0.3, seconds=9.5, tags=tags)


def _register(first: str, second: str) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(projects.TARGET.address)
    client.create_registered_model("demo")
    for run_id in (first, second):
        client.create_model_version("demo", f"runs:/{run_id}/finetuned", run_id=run_id)
    client.set_registered_model_alias("demo", "champion", "1")
    client.set_registered_model_alias("demo", "challenger", "2")
