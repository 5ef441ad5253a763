"""Trainings that average their best epochs, and record it."""

from __future__ import annotations

import pytest
import torch

from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint, load_saved_weights
from pipeline.yolo.training.task_trainers import DetectTraining
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.weights import load_weights
from tests import trainings

BACKBONE = 11  # of YOLO26
STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


@pytest.fixture
def fitness(monkeypatch):
    """Make each validation measure the next of these values."""
    values = []
    validate = DetectTraining.validate

    def measure(trainer):
        metrics, _ = validate(trainer)
        measured = values.pop(0)
        trainer.best_fitness = max(trainer.best_fitness or 0.0, measured)
        return {**metrics, "metrics/mAP50-95(B)": measured}, measured

    monkeypatch.setattr(DetectTraining, "validate", measure)
    return values


def _train(root, **changes):
    trainings.dataset(root)
    outcome = trainings.run(trainings.job(root, average=2, save_period=1, patience=0, threads=1, **changes))
    state = load_newest_checkpoint(root / "checkpoints")
    return outcome, {**state, "weights": dict(load_saved_weights(root / "checkpoints", state))}


def test_best_weights_are_the_mean_of_the_best_epochs_with_statistics_of_its_own(tmp_path, fitness, capsys):
    fitness[:] = [0.5, 0.2, 0.4, 0.45, 0.55]  # of three epochs, and of the mean with both statistics
    outcome, state = _train(tmp_path, epochs=3, freeze=2)
    assert (outcome.best_epoch, outcome.average.epochs, outcome.average.is_taken) == (1, (1, 3), True)
    assert outcome.average.is_estimated
    assert outcome.effective["average"] == "epochs 1, 3, statistics estimated"
    assert outcome.best_figures["metrics/mAP50-95"] == 0.55
    _check_file(tmp_path, outcome.weights["best"])
    again = trainings.run(
        trainings.job(tmp_path, average=2, save_period=1, patience=0, threads=1, epochs=3, freeze=2)
    )
    assert again._replace(trained_before=False) == outcome
    first, third, best = (state["weights"][name] for name in ("epoch0", "epoch2", "best"))
    for name, tensor in best.items():
        mean = (first[name].float() + third[name].float()) / 2
        if name.endswith(STATISTICS):
            moved = name.startswith(("model.0.", "model.1."))  # frozen
            assert tensor.equal(first[name]) or not moved
        else:
            torch.testing.assert_close(tensor.float(), mean, rtol=1e-3, atol=1e-4)
    name = "model.23.cv2.0.0.bn.running_mean"
    assert not torch.allclose(best[name].float(), (first[name] + third[name]).float() / 2, rtol=1e-3)
    last = state["weights"]["last"]
    assert all(last[name].equal(tensor.to(last[name].dtype)) for name, tensor in state["ema"].items())
    assert state["candidates"] == []
    assert (
        "epochs 1, 3 has val mAP50-95 0.5500, epoch 1 0.5000; best.pt is the mean" in capsys.readouterr().err
    )


def _check_file(root, contents):
    """Check that the file has the metrics of the mean, and the curves of the epochs."""
    (root / "best.pt").write_bytes(contents)
    checkpoint = torch.load(root / "best.pt", weights_only=False)
    assert checkpoint["train_metrics"]["metrics/mAP50-95"] == 0.55
    assert checkpoint["train_results"]["metrics/mAP50-95"] == [0.5, 0.2, 0.4]
    assert load_weights(root / "best.pt").names == dict(enumerate(trainings.NAMES))


@pytest.mark.slow
def test_statistics_are_averaged_too_where_val_says_that_this_is_better(tmp_path, fitness):
    fitness[:] = [0.5, 0.7, 0.72, 0.3]
    outcome, state = _train(tmp_path, epochs=2)
    assert (outcome.average.is_taken, outcome.average.is_estimated) == (True, False)
    assert outcome.best_figures["metrics/mAP50-95"] == 0.72
    first, second, best = (state["weights"][name] for name in ("epoch0", "epoch1", "best"))
    name = "model.23.cv2.0.0.bn.running_mean"
    mean = (first[name].float() + second[name].float()) / 2
    torch.testing.assert_close(best[name].float(), mean, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_mean_that_is_worse_on_val_is_not_taken(tmp_path, fitness):
    fitness[:] = [0.5, 0.7, 0.69, 0.6]
    outcome, state = _train(tmp_path, epochs=2)
    assert (outcome.average.epochs, outcome.average.is_taken) == ((1, 2), False)
    worse = "off: no better on val than the best epoch: epochs 1, 2, statistics averaged"
    assert outcome.effective["average"] == worse
    assert outcome.best_figures == outcome.rows[1]
    assert all(
        tensor.equal(state["weights"]["epoch1"][name]) for name, tensor in state["weights"]["best"].items()
    )


def test_a_mean_that_does_not_fit_into_fp16_leaves_the_other_one(tmp_path, fitness, monkeypatch):
    estimate = DetectTraining._estimate_batch_norms

    def overflow(trainer, network):
        estimate(trainer, network)
        network.model[0].bn.running_var.fill_(1e6)

    monkeypatch.setattr(DetectTraining, "_estimate_batch_norms", overflow)
    fitness[:] = [0.5, 0.4, 0.6, 0.9]
    outcome, _ = _train(tmp_path, epochs=2)
    assert (outcome.average.is_taken, outcome.average.is_estimated) == (True, False)
    assert outcome.best_figures["metrics/mAP50-95"] == 0.6


@pytest.mark.slow
def test_one_validated_epoch_makes_no_mean(tmp_path, fitness):
    fitness[:] = [0.5]
    outcome, _ = _train(tmp_path, epochs=1)
    assert outcome.average is None
    assert outcome.effective["average"].startswith("off: fewer than two epochs")


def test_frozen_statistics_of_the_backbone_stay_while_its_weights_learn_also_in_the_mean(tmp_path):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, freeze_bn=True, average=2, threads=1))
    base = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.train()
    saved = trainer.saved_weights
    mean = trainer.average.is_taken  # nothing is found yet: all are equal on val
    assert mean
    for name, tensor in base.items():
        if name.endswith(("running_mean", "running_var")):
            stays = int(name.split(".")[1]) < BACKBONE
            assert tensor.half().equal(saved["last"][name]) == stays, name
            assert tensor.half().equal(saved["best"][name]) == stays, name
    weights = "model.0.conv.weight", "model.0.bn.weight"
    assert not any(base[name].half().equal(saved["best"][name]) for name in weights)
    norms = {name for name in base if name.endswith("running_mean") and int(name.split(".")[1]) < BACKBONE}
    assert trainer.effective["freeze_bn"] == len(norms)
