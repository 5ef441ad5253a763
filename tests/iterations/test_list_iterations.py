"""The list of iterations: MLflow's runs, and what only DVC has."""

import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.iteration_state import get_state
from pipeline.iterations.list_iterations import list_iterations, list_known_iterations
from pipeline.tracking.target import TrackingTarget
from tests.iterations.projects import TARGET


def test_runs_and_what_only_dvc_has_are_listed_newest_first(iterations):
    found = list_iterations(TARGET, registry_name="demo")
    started = [item.facts["started"] for item in found]
    assert started == sorted(started, reverse=True)
    states = {(item.run_id or item.label): get_state(item) for item in found}
    assert states == {
        "tame-puma": "dvc",
        iterations.twins[1]: "finished",
        iterations.twins[0]: "failed",
        iterations.swept: "finished",
        iterations.child: "finished",
        iterations.second: "finished",
        iterations.first: "finished",
    }


def test_versions_aliases_and_commits_are_added(iterations):
    found = {item.run_id: item for item in list_iterations(TARGET, registry_name="demo")}
    assert found[iterations.first].aliases == ("champion",)
    assert found[iterations.first].revision == iterations.recorded
    assert found[iterations.second].revision is None
    assert (found[iterations.child].version, found[iterations.child].metrics["best/mAP50-95"]) == (None, 0.6)
    assert found[iterations.first].facts["code"] == found[iterations.second].facts["code"]


def test_without_mlflow_dvc_lists_what_it_has(iterations):
    known = list_known_iterations(TrackingTarget("http://127.0.0.1:9", "trial", 1.0), registry_name="demo")
    assert "cannot be read" in known.outage
    kinds = {item.label: (item.kind, item.metrics["test/mAP50-95"]) for item in known.iterations}
    assert kinds == {"tame-puma": ("experiment", 0.65), iterations.recorded[:10]: ("revision", 0.4)}


def test_a_clone_without_a_database_lists_the_commits_with_results(iterations, tmp_path, monkeypatch):
    shutil.copytree(iterations.folder / ".git", tmp_path / ".git")
    monkeypatch.chdir(tmp_path)
    found = list_iterations(TARGET, registry_name="demo")
    assert [item.kind for item in found] == ["experiment", "revision"]
    assert not Path("mlflow.db").exists()


def test_a_folder_without_git_and_runs_has_no_iterations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert list_iterations(TARGET) == []


@pytest.mark.fault(6, "the tracking server is away when the iterations are listed")
@pytest.mark.usefixtures("iterations")
def test_an_outage_is_told_and_not_an_empty_list():
    with pytest.raises(UserError, match="cannot be read"):
        list_iterations(TrackingTarget("http://127.0.0.1:9", "trial", 1.0))
