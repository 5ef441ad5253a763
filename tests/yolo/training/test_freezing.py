"""Layers whose parameters, averages and BatchNorm statistics change in each epoch, tensor by tensor."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from pipeline.yolo.training.freezing import read_learning_rates
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.unfreezing import LayerDecay, UnfreezingSchedule
from tests import trainings

BACKBONE = 11  # of YOLO26
LAYERS = 24


def _train_and_watch(job):
    """Train; return for each epoch the layers that changed: in the weights, and in the averages."""
    trainer = build_trainer(job)
    states = []

    def record(trainer):
        pair = [trainer.model.state_dict(), trainer.ema.ema.state_dict()]
        states.append([{name: tensor.clone() for name, tensor in state.items()} for state in pair])

    trainer.add_callback("on_pretrain_routine_end", record)
    trainer.add_callback("on_fit_epoch_end", record)
    trainer.train()
    pairs = pairwise(states)
    return [
        [_changed_layers(*both) for both in zip(before, after, strict=True)] for before, after in pairs
    ], trainer


def _changed_layers(before, after):
    return {int(name.split(".")[1]) for name in before if not before[name].equal(after[name])}


def _with_tensors(trainer, layers):
    filled = {int(name.split(".")[1]) for name in trainer.model.state_dict()}
    return filled & set(layers)


SLOW_SGD = pytest.param("SGD", marks=pytest.mark.slow)


@pytest.mark.parametrize("optimizer", [SLOW_SGD, "AdamW", "MuSGD"])
def test_head_does_not_change_the_backbone(tmp_path, optimizer):
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, freeze="backbone", optimizer=optimizer, weight_decay=0.1)
    epochs, trainer = _train_and_watch(job)
    for weights, averages in epochs:
        assert weights == averages == _with_tensors(trainer, range(BACKBONE, LAYERS))
    assert trainer.effective["freeze"] == [str(layer) for layer in range(BACKBONE)]
    learning = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    assert trainer.effective["parameters_learning"] == learning < trainer.effective["parameters"]


@pytest.mark.parametrize("optimizer", [SLOW_SGD, "AdamW"])
def test_gradual_unfreezes_group_after_group(tmp_path, optimizer):
    trainings.dataset(tmp_path)
    schedule = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)
    job = trainings.job(tmp_path, gradual=schedule, optimizer=optimizer, epochs=4, weight_decay=0.1)
    epochs, trainer = _train_and_watch(job)
    for moved, lowest in zip(epochs, [11, 6, 0, 0], strict=True):
        assert moved == [_with_tensors(trainer, range(lowest, LAYERS))] * 2


def test_gradual_on_a_plateau_waits_until_val_map_stalls(tmp_path):
    trainings.dataset(tmp_path)
    schedule = UnfreezingSchedule("plateau", every=1, stall=2, groups=3, decay=0.5)
    job = trainings.job(tmp_path, gradual=schedule, epochs=6, lr0=1e-7, patience=0)  # it cannot learn: mAP 0
    epochs, trainer = _train_and_watch(job)
    lowest = [min(weights) for weights, _ in epochs]
    assert [row["metrics/mAP50-95"] for row in trainer.rows] == [0] * 6
    assert lowest == [13, 13, 13, 6, 6, 0]  # layers 11 and 12 have no parameters


def test_deeper_groups_have_a_lower_rate_and_frozen_groups_zero(tmp_path):
    trainings.dataset(tmp_path)
    schedule = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)
    rows = trainings.run(
        trainings.job(tmp_path, gradual=schedule, epochs=3, lrf=1.0, cos_lr=False, lr0=0.001)
    ).rows
    rates = [[row[f"lr/weight_{depth}"] for depth in range(3)] for row in rows]
    assert rates == [
        pytest.approx([0.001, 0, 0]),
        pytest.approx([0.001, 0.0005, 0]),
        pytest.approx([0.001, 0.0005, 0.00025]),
    ]


def test_a_group_without_parameters_has_no_rate():
    some = {"params": [torch.ones(1, requires_grad=True)], "param_group": "weight"}
    optimizer = torch.optim.SGD([some, {"params": [], "param_group": "bn"}], lr=0.1)
    assert read_learning_rates(optimizer) == {"lr/weight": 0.1}


def test_layer_decay_gives_deeper_groups_a_lower_rate_from_the_first_step(tmp_path):
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, layer_decay=LayerDecay(3, 0.5), epochs=1, lrf=1.0, cos_lr=False, lr0=0.001)
    [(weights, averages)], trainer = _train_and_watch(job)
    assert weights == averages == _with_tensors(trainer, range(LAYERS))
    [row] = trainer.rows
    assert [row[f"lr/weight_{depth}"] for depth in range(3)] == pytest.approx([0.001, 0.0005, 0.00025])
    assert trainer.effective["initial_lr"] == pytest.approx([0.00025, 0.0005, 0.001])
    depths = {
        id(parameter): group["depth"]
        for group in trainer.optimizer.param_groups
        for parameter in group["params"]
    }
    split = [{depths[id(parameter)] for parameter in layer.parameters()} for layer in trainer.model.model]
    assert split[0] == {2}
    assert split[BACKBONE - 1] == {1}
    assert split[LAYERS - 1] == {0}


@pytest.mark.parametrize(
    ("task", "backbone", "layers"),
    [pytest.param("segment", 11, 24, marks=pytest.mark.slow), ("classify", 10, 11)],
)
def test_head_and_gradual_freeze_layers_in_other_tasks(tmp_path, task, backbone, layers):
    trainings.dataset(tmp_path, task=task)
    (tmp_path / "gradual").mkdir()
    trainings.dataset(tmp_path / "gradual", task=task)
    head = trainings.job(tmp_path, task=task, freeze="backbone", epochs=1, weight_decay=0.1)
    [moved], trainer = _train_and_watch(head)
    assert moved == [_with_tensors(trainer, range(backbone, layers))] * 2
    schedule = UnfreezingSchedule("schedule", every=1, stall=1, groups=2, decay=0.5)
    gradual = trainings.job(tmp_path / "gradual", task=task, gradual=schedule, weight_decay=0.1)
    epochs, trainer = _train_and_watch(gradual)
    for moved, lowest in zip(epochs, [backbone, 0], strict=True):
        assert moved == [_with_tensors(trainer, range(lowest, layers))] * 2


def test_full_changes_every_layer(tmp_path):
    trainings.dataset(tmp_path)
    epochs, trainer = _train_and_watch(trainings.job(tmp_path, epochs=1))
    assert epochs[0][0] == _with_tensors(trainer, range(LAYERS))


@pytest.mark.parametrize(
    ("freeze", "frozen"),
    [
        (["backbone", 22], [*map(str, range(BACKBONE)), "22"]),
        (["0.conv", 1, 12], ["0.conv", "1", "12"]),  # layer 12 has no tensors
    ],
)
def test_a_list_may_name_the_backbone_layers_and_parts_of_layers(tmp_path, freeze, frozen):
    trainings.dataset(tmp_path)
    [(weights, _), *_], trainer = _train_and_watch(trainings.job(tmp_path, freeze=freeze, epochs=1))
    assert trainer.effective["freeze"] == frozen
    whole = {int(name) for name in frozen if name.isdigit()}
    assert weights == _with_tensors(trainer, set(range(LAYERS)) - whole)


@pytest.mark.slow
def test_the_teacher_is_not_among_the_frozen_layers_of_the_record(tmp_path):
    trainings.dataset(tmp_path)
    teacher = tmp_path / "teacher.pt"
    teacher.write_bytes(trainings.run(trainings.job(tmp_path, epochs=1)).weights["best"])
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        path.unlink()
    outcome = trainings.run(trainings.job(tmp_path, epochs=1, distill_model=str(teacher), freeze=[0]))
    assert outcome.effective["freeze"] == ["0"]
