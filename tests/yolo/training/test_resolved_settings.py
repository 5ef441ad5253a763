"""What the record says of a training that ran in several sessions, or on several devices."""

from __future__ import annotations

import os

import pytest
import torch
from torch import distributed, nn

from pipeline.yolo.training.resolved_settings import _is_compiled
from pipeline.yolo.training.train import build_trainer
from tests import trainings


def _train_until(job, last):
    """Train a session up to an epoch, which a stop follows."""
    trainer = build_trainer(job)

    def stop(trainer):
        if trainer.epoch + 1 == last:
            raise KeyboardInterrupt

    trainer.add_callback("on_fit_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    return trainer.state["effective"]


@pytest.mark.slow
def test_settings_of_earlier_sessions_stay_in_the_record(tmp_path):
    trainings.dataset(tmp_path)

    def build(threads):
        return trainings.job(tmp_path, threads=threads, epochs=5, patience=0)

    first, same, other = (_train_until(build(threads), last) for threads, last in ((1, 1), (1, 2), (2, 3)))
    last = trainings.run(build(1)).effective
    assert ("sessions" in first, "sessions" in same) == (False, False)
    sessions = [(each["first_epoch"], each["threads"], each["device"]) for each in last["sessions"]]
    assert sessions == [(1, 1, "cpu"), (3, 2, "cpu"), (4, 1, "cpu")]
    assert last["sessions"][:2] == other["sessions"]


@pytest.fixture
def _one_process(monkeypatch, tmp_path):
    monkeypatch.setitem(os.environ, "MASTER_ADDR", "127.0.0.1")
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("_one_process")
def test_a_network_is_seen_to_be_compiled_also_where_several_devices_train_it():
    plain = nn.Linear(2, 2)
    compiled = torch.compile(nn.Linear(2, 2))
    spread = [nn.parallel.DistributedDataParallel(model) for model in (plain, compiled)]
    assert [_is_compiled(model) for model in (plain, compiled, *spread)] == [False, True, False, True]
