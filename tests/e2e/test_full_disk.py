"""The stages on a disk that is full: one sentence, the old outputs, and with space the run goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.__main__ import main
from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import send_missed
from pipeline.tracking.target import TrackingTarget
from tests import trainings
from tests.disks import filled_disk, mount_small_disk

SMALL = {"epochs": 2, "imgsz": 64, "batch": 4, "warmup_epochs": 0.0, "workers": 0}
STEP = 7_000_000
"""Bytes: less than the weights, the checkpoints and each of their copies, so that all of them fail once."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with mount_small_disk(tmp_path_factory.mktemp("disk"), kilobytes=300_000) as folder:
        trainings.dataset(folder)
        yield folder


@pytest.fixture
def project(disk, monkeypatch):
    monkeypatch.chdir(disk)
    monkeypatch.setenv("DVC_ROOT", str(disk))
    return disk


def configure(seed: int) -> None:
    values = yaml.safe_load((trainings.CONF.parent / PARAMS_FILE).read_text())
    values["finetune"] |= {**SMALL, "strategy": "scratch"}
    values["tracking"]["system_metrics"] = False
    values["evaluate"]["bootstrap"] = 20
    PARAMS_FILE.write_text(yaml.safe_dump({**values, "seed": seed}))


def contents() -> dict[str, bytes]:
    files = [path for name in ("models", "reports") for path in Path(name).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def statuses() -> list[tuple[str, int]]:
    """Return the status and the number of models of each run, the newest first."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("finetrack").experiment_id
    runs = client.search_runs([experiment])
    models = client.search_logged_models([experiment])
    made = [model.source_run_id for model in models]
    return [(run.info.status, made.count(run.info.run_id)) for run in runs]


def is_whole() -> bool:
    """Check whether the outputs of finetune are complete: those of the run, or of none."""
    run = FINETUNED_FOLDER / "run.json"
    if not run.exists():
        return not contents()
    hashes = json.loads(run.read_text())["sha256"]
    return all(hash_file(FINETUNED_FOLDER / f"{name}.pt") == hashes[name] for name in hashes) and (
        TRAINING_METRICS_FILE.is_file() and (TRAINING_PLOTS_FOLDER / "curves.png").is_file()
    )


def train_with(project: Path, left: int) -> int:
    """Run a new training on a disk with so many bytes left; return its exit code."""
    configure(seed=left)
    shutil.rmtree(".finetrack/checkpoints", ignore_errors=True)
    with filled_disk(project, left=left):
        return main(["finetune"])


@pytest.mark.slow
@pytest.mark.fault(5, "a disk that fills while finetune works")
def test_full_disk_leaves_no_finished_run_without_its_model(project, capsys, record_property):
    tries = 0
    while train_with(project, left=tries * STEP):
        said = capsys.readouterr().err
        assert "the disk is full" in said or "need at least" in said
        assert "Traceback" not in said
        assert is_whole()
        tries += 1
    assert tries > 5
    record_property("tries", tries)
    send_missed(TrackingTarget("sqlite:///mlflow.db", "finetrack", timeout=10.0))
    assert [models for status, models in statuses() if status == "FINISHED"] == [1]


@pytest.mark.slow
@pytest.mark.fault(13, "a disk that fills while evaluate works")
@pytest.mark.parametrize("left", [0, 100_000, 200_000])
def test_full_disk_leaves_the_earlier_evaluation(project, capsys, left):
    configure(seed=1)
    assert main(["finetune"]) == main(["evaluate"]) == 0
    before = contents()
    capsys.readouterr()
    with filled_disk(project, left=left):
        assert main(["evaluate"]) == 1
    assert "the disk is full" in capsys.readouterr().err
    assert contents() == before
    assert main(["evaluate"]) == 0
    assert statuses()[0] == ("FINISHED", 1)
