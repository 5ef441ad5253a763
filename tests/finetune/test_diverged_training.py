"""A training that diverges: a FAILED run, one sentence, and no outputs that look like results."""

from __future__ import annotations

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.config.schema import parse_config
from pipeline.core.errors import UserError
from pipeline.core.paths import PARAMS_FILE
from pipeline.finetune.outputs import OUTPUTS
from pipeline.finetune.overfitting import detect_overfitting
from pipeline.finetune.stage import run_stage
from tests import trainings


@pytest.mark.fault(8, "a training diverges")
def test_diverged_training_is_a_failed_run_without_outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    small = ["finetune=full", "finetune.epochs=2", "finetune.imgsz=64", "finetune.batch=4"]
    diverging = ["finetune.lr0=1.0", "finetune.warmup_epochs=0.0", "tracking.system_metrics=false"]
    base = [f"model.weights={trainings.FOUNDATION}"]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(
            compose("config", overrides=[*small, *diverging, *base]), resolve=True
        )
    PARAMS_FILE.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"the training diverged in epoch \d \(.*: lower finetune\.lr0"):
        run_stage(parse_config(values))
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("finetrack").experiment_id])
    assert run.info.status == "FAILED"
    assert "diverged" in run.data.tags["finetrack.reason"]
    assert "finetrack.overfitting" not in run.data.tags
    assert not [path for path in OUTPUTS if path.exists()]


def test_losses_that_are_not_finite_get_no_verdict():
    with pytest.raises(ValueError, match="not finite"):
        detect_overfitting([1.0, 0.5], [1.0, float("nan")])
