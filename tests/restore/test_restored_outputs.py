"""Data and weights of an iteration come from DVC's cache, its remote, or MLflow; never from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import UserError
from pipeline.core.paths import EVALUATION_FOLDER, FINETUNED_FOLDER, TEST_METRICS_FILE
from pipeline.restore.recorded_state import RecordedState
from pipeline.restore.restored_outputs import restore_outputs, write_recorded_files
from pipeline.storage.dvc_remotes.shared_settings import share_dvc_settings
from pipeline.storage.dvc_repository import commit_outputs, list_changed_stages
from pipeline.storage.finished_trainings import DVC_LOCK_FILE

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of DVC's pygtrie

STAGES = {
    "prepare": {"cmd": "true", "outs": ["data/prepared"]},
    "finetune": {"cmd": "true", "deps": ["data/prepared"], "outs": ["models/finetuned"]},
    "evaluate": {
        "cmd": "true",
        "deps": ["models/finetuned"],
        "outs": ["reports/evaluation"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    },
}
FILES = {
    "data/prepared/images/a.jpg": "an image",
    "models/finetuned/best.pt": "weights",
    "reports/evaluation/curve.csv": "a curve",
    "reports/metrics.json": "{}",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A DVC project with outputs of three stages, in its cache and in its dvc.lock."""
    from dvc.repo import Repo

    folder = tmp_path_factory.mktemp("restored") / "project"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    Repo.init(str(folder)).close()
    write(folder, FILES)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    commit_outputs(folder, [*STAGES])
    return folder


@pytest.fixture
def project(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "project")


@pytest.fixture
def clone(project, tmp_path) -> Path:
    """What git has of the project."""
    from dvc.repo import Repo

    folder = tmp_path / "clone"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    Repo.init(str(folder)).close()
    shutil.copyfile(project / "dvc.yaml", folder / "dvc.yaml")
    share_dvc_settings(project, folder)
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in FILES if (folder / name).exists()}


def lose(project: Path, *paths: str) -> None:
    """Delete outputs from DVC's cache."""
    entries = yaml.safe_load((project / DVC_LOCK_FILE).read_text())["stages"].values()
    hashes = {out["path"]: out["md5"] for entry in entries for out in entry["outs"]}
    for path in paths:
        (project / ".dvc/cache/files/md5" / hashes[path][:2] / hashes[path][2:]).unlink()


def log(folder: Path, **changed: str) -> dict[Path, Path]:
    """Write what is logged with the run; return its folders."""
    names = {"models/finetuned": "finetuned", "reports/evaluation": "evaluation"}
    for path, logged in names.items():
        for name in [name for name in FILES if name.startswith(path)]:
            write(folder, {f"{logged}/{Path(name).name}": changed.get(logged, FILES[name])})
    write(folder, {"evaluation/metrics.json": "{}", "evaluation/latency.json": "{}"})
    return {Path(path): folder / logged for path, logged in names.items()}


def state_of(project: Path, logged: dict[Path, Path], *, stage: str = "evaluate") -> RecordedState:
    files = {
        DVC_LOCK_FILE: (project / DVC_LOCK_FILE).read_bytes(),
        TEST_METRICS_FILE: (project / TEST_METRICS_FILE).read_bytes(),
    }
    return RecordedState("first", "0" * 40, "0" * 64, files=files, folders=logged, stage=stage)


def test_everything_comes_from_dvc_and_nothing_is_left_to_do(project, clone, tmp_path):
    state = state_of(project, log(tmp_path / "logged"))
    write_recorded_files(clone, state)
    assert "evaluate" not in yaml.safe_load((clone / DVC_LOCK_FILE).read_text())["stages"]
    assert [line.split()[-1] for line in restore_outputs(clone, state)] == ["DVC"]
    assert read(clone) == FILES
    assert list_changed_stages(clone) == {}
    locks = [yaml.safe_load((folder / DVC_LOCK_FILE).read_text()) for folder in (project, clone)]
    assert locks[0] == locks[1]


@pytest.mark.fault(11, "a file is damaged in DVC's cache")
@pytest.mark.parametrize("text", ["an image", "a curve"])
def test_a_damaged_file_of_the_cache_is_refused(project, clone, text):
    [damaged] = [
        path for path in (project / ".dvc/cache").rglob("*") if path.is_file() and path.read_text() == text
    ]
    damaged.chmod(0o644)
    damaged.write_text(text.upper())
    damaged.chmod(0o444)  # DVC takes a file that nobody can write for what it was
    state = state_of(project, {})
    write_recorded_files(clone, state)
    (clone / DVC_LOCK_FILE).write_bytes((project / DVC_LOCK_FILE).read_bytes())
    with pytest.raises(UserError, match=r"is damaged in DVC's cache"):
        restore_outputs(clone, state)


def test_what_the_cache_lost_comes_from_the_remote(project, clone, tmp_path):
    shutil.copytree(project / ".dvc/cache/files", tmp_path / "store/files")
    with (clone / ".dvc/config.local").open("a") as settings:
        settings.write(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'store'}\n")
    lose(project, "data/prepared", "models/finetuned")
    state = state_of(project, {})
    write_recorded_files(clone, replace(state, is_evaluated=False))
    restore_outputs(clone, replace(state, is_evaluated=False))
    assert read(clone)["data/prepared/images/a.jpg"] == "an image"
    assert read(clone)["models/finetuned/best.pt"] == "weights"


@pytest.mark.fault(11, "weights that DVC's cache has lost")
def test_weights_that_the_cache_lost_come_from_mlflow_and_are_in_the_cache_again(project, clone, tmp_path):
    lose(project, "models/finetuned")
    state = state_of(project, log(tmp_path / "logged"))
    write_recorded_files(clone, state)
    assert [line for line in restore_outputs(clone, state) if "models/finetuned from MLflow" in line]
    assert read(clone) == FILES
    assert list_changed_stages(clone) == {}
    shutil.rmtree(clone / FINETUNED_FOLDER)
    restore_outputs(clone, replace(state, folders={}, is_evaluated=False))
    assert read(clone)["models/finetuned/best.pt"] == "weights"


@pytest.mark.fault(11, "a damaged artifact of a run")
def test_other_weights_in_mlflow_are_refused(project, clone, tmp_path):
    lose(project, "models/finetuned")
    state = state_of(project, log(tmp_path / "logged", finetuned="others"))
    write_recorded_files(clone, state)
    with pytest.raises(UserError, match="finetune"):
        restore_outputs(clone, state)


@pytest.mark.fault(3, "data that is nowhere")
def test_what_cannot_be_had_is_named_and_nothing_is_written(project, clone, tmp_path):
    lose(project, "data/prepared")
    state = state_of(project, log(tmp_path / "logged"))
    write_recorded_files(clone, state)
    with pytest.raises(UserError, match=r"^data/prepared of first cannot be had"):
        restore_outputs(clone, state)
    assert not (clone / "data").exists()
    assert not (clone / FINETUNED_FOLDER).exists()


def test_a_run_without_an_evaluation_has_no_results_of_an_earlier_one(project, clone, tmp_path):
    state = replace(state_of(project, log(tmp_path / "logged"), stage="finetune"), is_evaluated=False)
    del state.files[TEST_METRICS_FILE]
    write(clone, {"reports/metrics.json": "of the commit"})
    write_recorded_files(clone, state)
    restore_outputs(clone, state)
    assert read(clone) == {name: FILES[name] for name in FILES if not name.startswith("reports")}
    assert [*list_changed_stages(clone)] == ["evaluate"]


@pytest.mark.fault(3, "DVC has another evaluation of the same weights")
def test_another_evaluation_of_the_run_cache_is_not_taken_for_this_one(project, clone, tmp_path):
    write(project, {"reports/evaluation/curve.csv": "another", "reports/metrics.json": '{"other": 1}'})
    before = state_of(project, log(tmp_path / "logged"))
    commit_outputs(project, ["evaluate"])
    before.files[TEST_METRICS_FILE] = b"{}"
    write_recorded_files(clone, before)
    restore_outputs(clone, before)
    assert read(clone) == FILES
    assert [path.name for path in (clone / EVALUATION_FOLDER).iterdir()] == ["curve.csv"]
    assert list_changed_stages(clone) == {}


@pytest.mark.fault(3, "a dvc.lock that is damaged")
@pytest.mark.parametrize("content", [b"", b"stages: [", b"stages: 1"])
def test_a_damaged_lock_is_one_sentence(project, clone, content):
    state = state_of(project, {})
    state.files[DVC_LOCK_FILE] = content
    with pytest.raises(UserError, match="damaged"):
        write_recorded_files(clone, state)
