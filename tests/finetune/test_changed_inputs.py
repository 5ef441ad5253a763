"""A training whose images change while it reads them leaves nothing to resume from, and a FAILED run."""

from __future__ import annotations

import threading
import time

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.__main__ import main
from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, PREPARED_FOLDER
from tests import trainings

SMALL = (
    *("finetune=scratch", "finetune.epochs=2", "finetune.imgsz=64", "finetune.batch=4", "finetune.workers=0"),
    *("finetune.warmup_epochs=0.0", "tracking.system_metrics=false", "augment=none"),
)


pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with prepared images, and parameters of a short training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    trainings.dataset(tmp_path)
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(compose("config", overrides=[*SMALL]), resolve=True)
    PARAMS_FILE.write_text(yaml.safe_dump(values))
    return tmp_path


@pytest.mark.fault(3, "an image changes during a training")
def test_checkpoints_of_a_training_whose_images_changed_are_deleted(project, capsys):
    checkpoints, ended = project / ".finetrack/checkpoints", threading.Event()

    def change_after_the_first_epoch():
        while not [*checkpoints.rglob("*.ckpt")] and not ended.is_set():
            time.sleep(0.005)
        image = next((project / PREPARED_FOLDER / "images/train").iterdir())
        image.write_bytes(image.read_bytes() + b"x")

    changing = threading.Thread(target=change_after_the_first_epoch)
    changing.start()
    try:
        assert main(["finetune"]) == 1
    finally:
        ended.set()
        changing.join()
    assert "images/train/" in capsys.readouterr().err
    assert [*checkpoints.rglob("*.ckpt")] == []
    assert not FINETUNED_FOLDER.exists()
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.status for run in client.search_runs(experiments)] == ["FAILED"]
