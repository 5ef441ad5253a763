"""A training that its sweep ends early: nothing that looks like a result, and a checkpoint to go on from."""

from __future__ import annotations

import json
import signal
from contextlib import closing, contextmanager
from dataclasses import replace
from queue import Queue
from threading import Thread

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.__main__ import main
from pipeline.config.schema import parse_config
from pipeline.core.errors import PRUNED_EXIT_CODE, PrunedError
from pipeline.core.paths import PARAMS_FILE, TRAINING_METRICS_FILE
from pipeline.finetune.outputs import OUTPUTS
from pipeline.finetune.stage import run_stage
from pipeline.runtime import epoch_channel
from pipeline.runtime.epoch_channel import CHANNEL_VARIABLE
from pipeline.sweep.workers.epoch_server import EpochServer
from pipeline.tracking.sweep_origin import RUN_NAME_VARIABLE, SWEEP_TAGS_VARIABLE
from tests import trainings

NUMBER = 4


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    small = ["finetune=scratch", "finetune.epochs=4", "finetune.imgsz=64", "finetune.batch=4"]
    off = ["finetune.warmup_epochs=0.0", "tracking.system_metrics=false", "finetune.threads=1"]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(compose("config", overrides=[*small, *off]), resolve=True)
    PARAMS_FILE.write_text(yaml.safe_dump(values))
    return tmp_path


@contextmanager
def sweep(monkeypatch, decide):
    """Be the sweep of the trainings in the block; yield the epochs that they report."""
    events, epochs = Queue(), []

    def work():
        while (event := events.get()) is not None:
            epochs.append(event.epoch)
            event.answer(decide(event))

    thread = Thread(target=work)
    thread.start()
    with monkeypatch.context() as patch, closing(EpochServer(events)) as server:
        address = server.address_for(NUMBER)
        patch.setenv(CHANNEL_VARIABLE, address)
        patch.setenv(RUN_NAME_VARIABLE, "lr0=0.001 augment=light")
        patch.setenv(SWEEP_TAGS_VARIABLE, json.dumps({"sweep": "rates", "point": 3, "repetition": 0}))
        yield epochs
        epoch_channel._open_channel(address).close()
    events.put(None)
    thread.join()


def train():
    run_stage(parse_config(yaml.safe_load(PARAMS_FILE.read_text())))


def read_run(folder):
    """Return the only run, and the steps of its val metric."""
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("finetrack").experiment_id])
    points = client.get_metric_history(run.info.run_id, "metrics/mAP50-95")
    models = client.search_logged_models([run.info.experiment_id])
    return run, [point.step for point in points], len(models)


def list_checkpoints(folder):
    return sorted(path.name[:6] for path in (folder / ".finetrack/checkpoints").glob("*/*.ckpt"))


def check_pruned_after_two_epochs(folder):
    run, steps, models = read_run(folder)
    assert (run.info.status, run.data.tags["finetrack.pruned"], models) == ("KILLED", "2", 0)
    assert run.data.tags["finetrack.reason"].startswith("pruned after epoch 2 of 4: val mAP50-95 0.")
    assert steps == [1, 2]
    assert list_checkpoints(folder) == ["000001", "000002"]
    assert not [path for path in OUTPUTS if path.exists()]


def check_names(folder):
    """Check what the run says about its sweep, and return it."""
    run, _, _ = read_run(folder)
    assert run.info.run_name == f"lr0=0.001 augment=light {run.data.tags['finetrack.key'][:6]}"
    tags = [run.data.tags[f"finetrack.sweep{name}"] for name in ("", ".point", ".repetition")]
    assert tags == ["rates", "3", "0"]
    return run


@pytest.mark.fault(
    14, "a training is pruned, started again by a sweep that lost this, and trained to the end"
)
def test_pruned_training_leaves_no_result_and_resumes_from_its_checkpoint(project, monkeypatch, capsys):
    handler = signal.getsignal(signal.SIGTERM)
    with sweep(monkeypatch, lambda event: event.epoch == 2) as epochs:
        code = main(["finetune"])
    signal.signal(signal.SIGTERM, handler)
    last = capsys.readouterr().err.splitlines()[-1]
    assert (code, epochs) == (PRUNED_EXIT_CODE, [1, 2])
    assert last.startswith("finetune: pruned after epoch 2 of 4: ")
    check_pruned_after_two_epochs(project)
    run = check_names(project)

    with sweep(monkeypatch, lambda event: event.epoch == 2) as epochs, pytest.raises(PrunedError) as error:
        train()  # the sweep was killed before it noted the end: no further epoch is trained
    assert (error.value.epoch, epochs) == (2, [1, 2])
    check_pruned_after_two_epochs(project)

    capsys.readouterr()
    train()
    told = capsys.readouterr()
    assert "epoch 3 took" in told.err
    assert "the first epoch" not in told.err
    again, steps, models = read_run(project)
    assert (again.info.run_id, again.info.status, steps, models) == (
        run.info.run_id,
        "FINISHED",
        [1, 2, 3, 4],
        1,
    )
    assert not again.data.tags.keys() & {"finetrack.pruned", "finetrack.reason"}
    assert json.loads(TRAINING_METRICS_FILE.read_text())["epochs"] == 4


def test_last_epoch_is_a_result_whatever_the_sweep_answers(tmp_path):
    trainings.dataset(tmp_path)
    result = trainings.run(trainings.job(tmp_path, epochs=1), on_epoch=lambda _row: True)
    assert len(result.rows) == 1


def test_answer_to_the_last_validated_epoch_counts_for_a_resumed_training(tmp_path):
    def stop(row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    trainings.dataset(tmp_path)
    job = replace(trainings.job(tmp_path, epochs=4), val_every=2)
    with pytest.raises(KeyboardInterrupt):
        trainings.run(job, on_epoch=stop)
    with pytest.raises(PrunedError) as error:
        trainings.run(job, on_epoch=lambda row: True if "metrics/mAP50-95" in row else None)
    assert error.value.epoch == 3
