"""What a training prints: its plan, progress lines without control characters, when it will be done."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.runtime import progress
from pipeline.yolo.training.report_progress import describe_end, describe_plan
from tests import trainings


@pytest.fixture
def train(tmp_path, monkeypatch, capfd):
    """Train two epochs with a progress line at each chance; return what is printed."""

    def run() -> str:
        monkeypatch.setattr(progress, "MIN_LOG_SECONDS", 0.0)
        monkeypatch.setattr(progress, "MAX_LOG_SECONDS", 0.0)
        trainings.dataset(tmp_path)
        capfd.readouterr()
        trainings.run(trainings.job(tmp_path, epochs=2, cache="ram", patience=10))
        printed = capfd.readouterr()
        return printed.out + printed.err

    return run


def test_log_file_gets_plain_lines_in_one_style(train):
    output = train()
    assert not {"\r", "\x1b"} & set(output)
    lines = output.splitlines()
    assert {line.partition(": ")[0] for line in lines} == {"finetune"}
    assert (
        "finetune: training on 8 images, validating on 4, for 2 epochs, at imgsz 64, batch 4, on cpu" in lines
    )
    assert any(line.startswith("finetune: the first epoch took ") for line in lines)
    assert any("4 of 4 images cached" in line for line in lines)
    assert lines[-1].startswith("finetune: 4 of 4 batches (100%) in ")
    assert "epoch 2 of 2, val mAP50-95 0." in lines[-1]


def test_debug_log_shows_the_messages_of_ultralytics(train, ultralytics_log):
    train()
    assert "Starting training for 2 epochs" in ultralytics_log.text


def build_trainer(**args: object) -> SimpleNamespace:
    """A trainer's values as the reporter reads them."""
    loader = SimpleNamespace(dataset=range(160))
    values = {"time": None, "imgsz": 256, "patience": 0} | args
    return SimpleNamespace(
        train_loader=loader,
        test_loader=SimpleNamespace(dataset=range(60)),
        start_epoch=0,
        epoch=0,
        epochs=10,
        batch_size=16,
        device="cpu",
        rows=[{"seconds": 600.0}],
        args=SimpleNamespace(**values),
    )


def test_plan_of_a_resumed_training_names_its_first_epoch():
    trainer = build_trainer()
    trainer.start_epoch = 3
    assert ", for 10 epochs, from epoch 4, at imgsz 256" in describe_plan(trainer)


@pytest.mark.parametrize(
    ("args", "seconds", "left"),
    [
        ({}, 20.0, "done in about 3 min, at "),
        ({"time": 1.0}, 600.0, "done in about 50 min, at "),
        ({}, 7200.0, "done in about 18 h 0 min, at "),
    ],
)
def test_end_is_estimated_from_the_first_epoch_or_the_time_limit(args, seconds, left):
    assert left in describe_end(build_trainer(**args), seconds)


@pytest.mark.parametrize(("patience", "ending"), [(0, False), (5, True), (10, False)])
def test_early_stopping_may_end_a_training_earlier(patience, ending):
    assert describe_end(build_trainer(patience=patience), 20.0).endswith(" or earlier") == ending


def test_first_epoch_of_a_resumed_training_is_named_by_its_number():
    trainer = build_trainer()
    assert describe_end(trainer, 20.0).startswith("the first epoch took 20 s; ")
    trainer.epoch = 3
    assert describe_end(trainer, 20.0).startswith("epoch 4 took 20 s; ")
