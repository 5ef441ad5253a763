"""A training whose values the data decide: recorded, the same bytes as with numbers, kept when resumed."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.config.schema import ConfigError, parse_config
from pipeline.core.errors import PrunedError
from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.finetune import stage
from pipeline.finetune.automatic import epoch_count, learning_rate
from pipeline.finetune.stage import gather_inputs, run_stage
from pipeline.yolo.rate_test import choose_rate, run_rate_test
from pipeline.yolo.rate_test.choose_rate import RatePoint, RateTest
from tests import trainings


@pytest.fixture
def _short(monkeypatch):
    """A test of three steps that says something, and two epochs."""
    monkeypatch.setattr(run_rate_test, "STEPS", 3)
    monkeypatch.setattr(choose_rate, "FALL", -1.0)
    monkeypatch.setattr(epoch_count, "MIN_EPOCHS", 2)
    monkeypatch.setattr(epoch_count, "MAX_EPOCHS", 2)


def train(strategy: str = "full", **changes: Any) -> None:
    small = [
        f"finetune={strategy}",
        "finetune.batch=4",
        "finetune.warmup_epochs=0.0",
        "augment.online.close_mosaic=1",
    ]
    small += ["tracking.system_metrics=false", "finetune.threads=1", f"model.weights={trainings.FOUNDATION}"]
    words = [f"finetune.{key}={value}" for key, value in changes.items()]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(compose("config", overrides=[*small, *words]), resolve=True)
    PARAMS_FILE.write_text(yaml.safe_dump(values))
    run_stage(parse_config(values))


def read_json(path: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def list_choices(capsys: Any) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if "=auto: " in line]


def check_records(address: str, *, epochs: int) -> dict[str, Any]:
    """Check what the files and the run say of the values; return them."""
    facts = read_json(FINETUNED_FOLDER / "run.json")
    chosen = {"imgsz": 64, "epochs": epochs, "lr0": facts["effective"]["lr0"]}
    assert read_json(TRAINING_METRICS_FILE)["automatic"] == chosen
    assert {key: value["value"] for key, value in facts["automatic"].items()} == chosen
    assert all(value["reason"] for value in facts["automatic"].values())
    assert facts["imgsz"] == 64
    assert {"rate_test.csv", "rate_test.png"} <= {path.name for path in TRAINING_PLOTS_FOLDER.iterdir()}
    params = MlflowClient(address).get_run(facts["run_id"]).data.params
    assert params["finetune.imgsz"] == params["finetune.lr0"] == "auto"
    assert float(params["effective.lr0"]) == chosen["lr0"]
    assert params["effective.automatic.epochs"].startswith(f"{epochs} (")
    return chosen


@pytest.mark.fault(3, "values that the configuration leaves to the data")
def test_auto_is_recorded_as_the_values_that_were_used(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(epoch_count, "MAX_EPOCHS", 1)
    found = RateTest(0.0013, "a reason", (RatePoint(0.001, 1.0, 1.0), RatePoint(0.002, 0.97, 0.98)))
    monkeypatch.setattr(learning_rate, "run_rate_test", lambda _job, _usual: found)
    trainings.dataset(tmp_path, train=4, val=2)
    train(lr0="auto", imgsz="auto", epochs="auto")
    chosen = check_records(f"sqlite:///{tmp_path / 'mlflow.db'}", epochs=1)
    assert chosen["lr0"] == found.lr0
    assert f"finetune: lr0=auto: {found.lr0} (a reason)" in list_choices(capsys)


@pytest.mark.slow
@pytest.mark.fault(4, "a stopped training whose learning rate was chosen by a test")
@pytest.mark.usefixtures("_short")
def test_a_resumed_training_keeps_what_auto_gave_and_is_the_one_of_these_numbers(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    auto = {"lr0": "auto", "imgsz": "auto", "epochs": "auto"}
    with monkeypatch.context() as patch:
        patch.setattr(stage, "ask_whether_pruned", lambda row, _task, epochs: row["epoch"] < epochs)
        with pytest.raises(PrunedError, match="after epoch 1 of 2"):
            train(**auto)
    told = list_choices(capsys)
    with monkeypatch.context() as patch:
        patch.setattr(learning_rate, "run_rate_test", None)  # the resumed training needs none
        train(**auto)
    assert (list_choices(capsys), len(told)) == (told, 3)
    chosen = check_records(f"sqlite:///{tmp_path / 'mlflow.db'}", epochs=2)

    weights = (FINETUNED_FOLDER / "best.pt").read_bytes()
    shutil.rmtree(FINETUNED_FOLDER)
    train(**chosen)
    assert (FINETUNED_FOLDER / "best.pt").read_bytes() == weights
    assert not (TRAINING_PLOTS_FOLDER / "rate_test.csv").exists()
    assert "automatic" not in read_json(TRAINING_METRICS_FILE)


def test_what_auto_gives_is_part_of_the_run_key(tmp_path, monkeypatch):
    """Two rates of model.lr0 around which lr0=auto tests, and two numbers of epochs."""
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        words = ["finetune.lr0=auto", "finetune.epochs=auto", f"model.weights={trainings.FOUNDATION}"]
        values: Any = OmegaConf.to_container(compose("config", overrides=words), resolve=True)
    keys = [gather_inputs(parse_config(values)).key]
    values["model"]["lr0"]["full"] = 0.5
    keys.append(gather_inputs(parse_config(values)).key)
    values["model"]["lr0"]["head"] = 0.5  # of another strategy
    keys.append(gather_inputs(parse_config(values)).key)
    monkeypatch.setattr(epoch_count, "EPOCHS_OF_ONE_STEP", 100.0)
    keys.append(gather_inputs(parse_config(values)).key)
    assert keys[1] == keys[2]
    assert len({*keys}) == 3


def test_a_number_that_does_not_fit_is_refused_before_there_is_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(epoch_count, "MIN_EPOCHS", 1)
    monkeypatch.setattr(epoch_count, "MAX_EPOCHS", 1)
    trainings.dataset(tmp_path, train=1, val=1)
    with pytest.raises(ConfigError, match=r"finetune\.epochs=auto gives 1, but .* ends before the last"):
        train("gradual", epochs="auto")
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_training_with_a_time_limit_records_the_epochs_that_it_had(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    train(imgsz=64, epochs="auto", time=0.001)
    facts, report = read_json(FINETUNED_FOLDER / "run.json"), read_json(TRAINING_METRICS_FILE)
    assert list_choices(capsys) == []
    assert ("automatic" in facts, "automatic" in report) == (False, False)
    assert facts["effective"]["epochs"] == report["epochs"] > 0
