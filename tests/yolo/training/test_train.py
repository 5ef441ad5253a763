"""Trainings on a CPU: results, recorded settings, untouched data, resume, and rejected arguments."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ultralytics import YOLO, utils
from ultralytics.engine import trainer as trainer_module
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG, ROOT, SETTINGS, events

from pipeline.core.errors import UserError
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.training.export import export_checkpoint
from pipeline.yolo.training.precision import (
    choose_cpu_precision,
    choose_cuda_amp,
    disable_bf16,
    enable_bf16,
    set_precision,
)
from pipeline.yolo.training.resume.checkpoints import (
    load_newest_checkpoint,
    load_saved_weights,
    save_checkpoint,
)
from pipeline.yolo.training.resume.state import read_averaged_weights, restore_state
from pipeline.yolo.training.task_trainers import DetectTraining
from pipeline.yolo.training.train import build_trainer, train_model
from pipeline.yolo.unfreezing import UnfreezingSchedule
from pipeline.yolo.weights import load_weights
from tests import trainings


def _contents(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }


def _tensors(folder, contents):
    (folder / "weights.pt").write_bytes(contents)
    return load_weights(folder / "weights.pt").state_dict()


@pytest.mark.parametrize("batch", [-1, 0.7])
def test_automatic_batch_is_refused_without_a_gpu_before_the_work(tmp_path, batch):
    with pytest.raises(UserError, match=rf"finetune\.batch={batch} measures the memory of a CUDA GPU"):
        trainings.run(trainings.job(tmp_path, batch=batch))
    assert not (tmp_path / "checkpoints/ultralytics").exists()


@pytest.mark.slow
def test_automatic_batch_is_the_measured_one_and_a_resumed_training_keeps_it(tmp_path, monkeypatch):
    trainings.dataset(tmp_path)
    measured = []

    def measure(**settings):  # as on a GPU, where it runs the network with growing batches
        measured.append((settings["batch"], settings["imgsz"], settings["dataset_size"]))
        return 4 if len(measured) == 1 else 2

    monkeypatch.setattr(trainer_module, "check_train_batch_size", measure)
    first = build_trainer(trainings.job(tmp_path, batch=0.7, epochs=2))

    def stop(_trainer):
        raise KeyboardInterrupt

    first.add_callback("on_fit_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        first.train()
    second = build_trainer(trainings.job(tmp_path, batch=0.7, epochs=2))
    second.train()
    assert measured == [(0.7, 64, 8)]
    assert (first.effective["batch"], second.effective["batch"]) == (4, 4)
    assert [row["epoch"] for row in second.rows] == [1, 2]


def test_training_learns_and_its_weights_load_and_predict(tmp_path):
    trainings.dataset(tmp_path, train=16)
    rows = []
    job = trainings.job(tmp_path, precision="auto", epochs=8, lr0=0.005, mosaic=0.0, scale=0.1)
    outcome = trainings.run(job, on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows == outcome.rows
    assert outcome.effective["precision"] == choose_cpu_precision("auto")
    assert outcome.rows[-1]["train/cls_loss"] < 0.7 * outcome.rows[0]["train/cls_loss"]
    best = outcome.rows[outcome.best_epoch - 1]["metrics/mAP50-95"]
    assert best == max(row["metrics/mAP50-95"] for row in outcome.rows)
    (tmp_path / "best.pt").write_bytes(outcome.weights["best"])
    detector = YOLO(tmp_path / "best.pt")
    assert detector.names == dict(enumerate(trainings.NAMES))
    image = min((tmp_path / "data/prepared/images/val").iterdir())
    [found] = detector.predict(str(image), imgsz=64, conf=0.001, verbose=False)
    assert len(found.boxes)


def test_weights_hold_no_local_path_and_are_reproducible(tmp_path):
    trainings.dataset(tmp_path)
    own = tmp_path / "yolo26n.yaml"
    shutil.copyfile(ROOT / "cfg/models/26/yolo26.yaml", own)
    job = trainings.job(tmp_path, save_period=1)
    job = replace(job, base=replace(job.base, architecture=str(own)))
    outcome = trainings.run(job)
    first = outcome.weights
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        path.unlink()
    again = trainings.run(job).weights
    assert set(first) == {"best", "last", "epoch0", "epoch1"}
    for name in ("epoch0", "epoch1"):
        (tmp_path / f"{name}.pt").write_bytes(first[name])
        saved = torch.load(tmp_path / f"{name}.pt", weights_only=False)
        losses = [row["val/cls_loss"] for row in outcome.rows[: len(saved["train_results"]["epoch"])]]
        assert saved["train_results"]["val/cls_loss"] == losses
        assert (len(losses), saved["train_metrics"]["val/cls_loss"]) == (1 + int(name[-1]), losses[-1])
    assert first == again
    assert all(str(tmp_path).encode() not in contents for contents in first.values())


def test_weights_have_the_same_bytes_for_any_memory_layout(tmp_path):
    """On CUDA that is NHWC, which released versions of Ultralytics cannot read from a checkpoint."""
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path))
    written = []
    for layout in (torch.contiguous_format, torch.channels_last):
        trainer.model.to(memory_format=layout)
        trainer.ema = SimpleNamespace(ema=trainer.model)
        kept = read_averaged_weights(trainer)
        network, arguments = trainer.blank_network, vars(trainer.args)
        written.append(export_checkpoint(network, kept, arguments=arguments, rows=[{}]))
    assert written[0] == written[1]


def test_recorded_settings_are_those_in_use(tmp_path):
    trainings.dataset(tmp_path)
    used = trainings.run(trainings.job(tmp_path, optimizer="auto", lr0=None, epochs=1, batch=3)).effective
    assert used["optimizer"] == "AdamW"
    assert used["lr0"] == pytest.approx(0.002 * 5 / 7, abs=1e-6)  # what Ultralytics chooses for three classes
    assert (used["batch"], used["precision"], used["device"], used["freeze"]) == (3, "fp32", "cpu", [])
    assert used["threads"] == torch.get_num_threads()
    assert used["compiled"] is False


def test_only_our_callbacks_are_attached(tmp_path):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path))
    modules = {callback.__module__ for callbacks in trainer.callbacks.values() for callback in callbacks}
    silent = {"ultralytics.utils.callbacks.base", "ultralytics.utils.events"}  # do nothing; off offline
    assert modules == {"pipeline.yolo.training.trainer"} | silent
    assert not events.events.enabled
    assert not any(SETTINGS[name] for name in ("mlflow", "dvc", "tensorboard", "wandb", "comet", "sync"))


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("cache", ["ram", "disk", False])
@pytest.mark.fault(1, "planted label caches with code")
def test_data_is_not_changed_and_planted_caches_are_ignored(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    data = tmp_path / "data/prepared"
    for split in ("train", "val"):
        (data / f"labels/{split}.cache").write_bytes(pickle.dumps(_Trap()))
        np.save(data / f"labels/{split}.cache.npy", np.array([_Trap()]), allow_pickle=True)
    image = min((data / "images/train").iterdir())
    np.save(image.with_suffix(".npy"), np.zeros((2, 2, 3), np.uint8))  # Ultralytics would train on it instead
    before = _contents(tmp_path / "data")
    trainings.run(trainings.job(tmp_path, epochs=1, cache=cache))
    assert _contents(tmp_path / "data") == before
    assert not (tmp_path / "executed").exists()


def test_finished_training_returns_its_result_again(tmp_path):
    trainings.dataset(tmp_path)
    first = trainings.run(trainings.job(tmp_path))
    again = trainings.run(trainings.job(tmp_path))
    assert (again.rows, again.best_epoch, again.effective) == (first.rows, first.best_epoch, first.effective)
    for name in ("best", "last"):
        before, after = (_tensors(tmp_path, outcome.weights[name]) for outcome in (first, again))
        assert all(before[key].equal(after[key]) for key in before)


def test_training_killed_after_its_only_checkpoint_still_reports_its_settings(tmp_path):
    """The run that a resume continues, or opens in another store, may have none of them."""
    trainings.dataset(tmp_path)
    job, settings = trainings.job(tmp_path, epochs=1), []
    with pytest.raises(KeyboardInterrupt):
        train_model(job, on_start=_stop, on_epoch=lambda _row: None)
    result = train_model(job, on_start=settings.append, on_epoch=lambda _row: None)
    assert settings == [{name: value for name, value in result.effective.items() if name != "epochs"}]


def _stop(_effective):
    raise KeyboardInterrupt


def test_state_of_another_device_is_restored(tmp_path):
    trainings.dataset(tmp_path)
    trainings.run(trainings.job(tmp_path, epochs=1))
    trainer = build_trainer(trainings.job(tmp_path, epochs=2))
    for group in trainer.state["optimizer"]["param_groups"]:
        group["fused"] = True  # as on a GPU
    state, trainer.state = trainer.state, None
    trainer._setup_train()
    trainer.scaler = torch.amp.GradScaler("cpu")  # as in fp16
    restore_state(trainer, state)
    assert trainer.start_epoch == 1
    assert not any(group["fused"] for group in trainer.optimizer.param_groups)


@pytest.mark.slow
def test_early_stopping_continues_after_a_resume(tmp_path):
    trainings.dataset(tmp_path)
    trainings.run(trainings.job(tmp_path))
    state = load_newest_checkpoint(tmp_path / "checkpoints")
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        path.unlink()
    best_in_epoch_one = {"stopper": [0.9, 1], "best_fitness": 0.9, "epochs": 9, "stop": False}
    save_checkpoint(tmp_path / "checkpoints", 2, state | best_in_epoch_one)
    outcome = trainings.run(trainings.job(tmp_path, epochs=9, patience=3))
    assert (len(outcome.rows), outcome.best_epoch) == (4, 1)


@pytest.mark.parametrize(("before", "best"), [([0.0, 0.0], 2), ([0.5, 0.5], 1), ([0.5, 0.7, 0.7], 2)])
def test_best_weights_are_those_of_the_reported_epoch(tmp_path, monkeypatch, before, best):
    """Epochs of equal fitness: Ultralytics' stopper reports the first, its trainer keeps the last."""
    trainings.dataset(tmp_path)
    fitness = iter(before)
    validate = DetectTraining.validate

    def measured(trainer):
        metrics, _ = validate(trainer)
        trainer.fitness = next(fitness)
        trainer.best_fitness = max(trainer.best_fitness or 0.0, trainer.fitness)
        return metrics, trainer.fitness

    monkeypatch.setattr(DetectTraining, "validate", measured)
    epochs = len(before)
    outcome = trainings.run(trainings.job(tmp_path, epochs=epochs, save_period=1, patience=0))
    folder = tmp_path / "checkpoints"
    kept = dict(load_saved_weights(folder, load_newest_checkpoint(folder)))
    assert outcome.best_epoch == best
    for epoch in range(1, epochs + 1):
        there = kept[f"epoch{epoch - 1}"]
        assert all(kept["best"][name].equal(there[name]) for name in there) == (epoch == best)


def test_bf16_gives_about_the_loss_of_fp32_and_restores_the_model():
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=3, verbose=False)
    model.args = DEFAULT_CFG
    batch = {
        "img": torch.rand(4, 3, 64, 64),
        "cls": torch.zeros(4, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]] * 4),
        "batch_idx": torch.arange(4.0),
    }
    model.train()
    expected = model(batch)[0].sum()
    model.criterion = None
    enable_bf16(model)
    loss = model(batch)[0].sum()
    assert loss.dtype == torch.float32
    assert loss.item() != expected.item()
    assert loss.item() == pytest.approx(expected.item(), rel=0.02)  # bf16 has three significant digits
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    disable_bf16(model)
    assert type(model) is DetectionModel
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())


@pytest.mark.slow
def test_fast_training_reaches_the_same_map_as_stock_training(tmp_path):
    best = []
    for settings in ({"precision": "fp32", "fast": False}, {"precision": "auto", "fast": True}):
        root = tmp_path / settings["precision"]
        trainings.dataset(root, train=16, val=16)
        job = trainings.job(root, weights=trainings.FOUNDATION, epochs=4, mosaic=0.0, scale=0.1, **settings)
        best.append(max(row["metrics/mAP50-95"] for row in trainings.run(job).rows))
    assert min(best) > 0.45  # 0.2 after the first epoch
    assert best[1] == pytest.approx(best[0], abs=0.1)  # with six seeds both have 0.40 to 0.62, mean 0.49


@pytest.mark.parametrize(
    ("wanted", "able", "chosen"),
    [
        ("auto", {"avx512_bf16": True}, "bf16"),
        ("auto", {"amx_bf16": True}, "bf16"),
        ("auto", {"avx512_f": True, "avx512_bf16": False}, "fp32"),
        ("bf16", {}, "fp32"),
        ("fp32", {"avx512_bf16": True}, "fp32"),
    ],
)
def test_bf16_is_chosen_where_the_cpu_has_instructions_for_it(wanted, able, chosen):
    assert choose_cpu_precision(wanted, able) == chosen


@pytest.mark.parametrize(
    ("wanted", "amp", "able", "chosen"),
    [
        ("auto", True, True, "bf16"),
        ("auto", True, False, True),  # fp16, as `yolo train`: older GPUs are slower in fp32
        ("auto", "bf16", False, True),
        ("auto", "fp16", True, "fp16"),
        ("auto", False, True, False),
        ("bf16", False, True, "bf16"),
        ("bf16", True, False, False),
        ("fp32", "bf16", True, False),
    ],
)
def test_amp_on_a_gpu_is_bf16_where_the_gpu_has_it(wanted, amp, able, chosen):
    assert choose_cuda_amp(wanted, amp, able) == chosen


@pytest.mark.parametrize(
    ("wanted", "amp", "warnings"),
    [("bf16", True, 1), ("auto", "bf16", 1), ("auto", True, 0), ("fp32", "bf16", 0)],
)
def test_warning_where_bf16_is_wanted_but_not_possible(ultralytics_log, wanted, amp, warnings):
    arguments = SimpleNamespace(amp=amp, distill_model=None)
    job = SimpleNamespace(precision=wanted)
    assert not set_precision(SimpleNamespace(job=job, device=torch.device("mps"), args=arguments))
    sentence = "bf16 was asked for, but the network cannot compute in it on mps: fp32 is used"
    assert sum(sentence in message for message in ultralytics_log.messages) == warnings
    assert arguments.amp is False


def test_model_of_the_fp16_check_goes_to_scratch(monkeypatch):
    monkeypatch.setattr(utils, "WEIGHTS_DIR", utils.WEIGHTS_DIR)
    arguments = SimpleNamespace(amp="fp16", distill_model=None)
    job, gpu = SimpleNamespace(precision="auto"), torch.device("cuda", 0)
    assert not set_precision(SimpleNamespace(job=job, device=gpu, args=arguments))
    assert arguments.amp == "fp16"
    assert create_scratch_folder("weights") == utils.WEIGHTS_DIR


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"device": 7}, r"finetune.device=7 is absent \(\d+ GPUs here\): set finetune.device=cpu or null"),
        ({"device": "cuda:7"}, "finetune.device=cuda:7 is absent"),
        (
            {"freeze": ["nolayer"]},
            r"'nolayer', .* the model has layers 0 to 23, the backbone 0 to 10; ",
        ),
        ({"freeze": [0, 99]}, "finetune.freeze names 99, which the model has not"),
        ({"freeze": ["backbone", -1]}, "finetune.freeze names -1, which the model has not"),
        ({"freeze": ["0.conv", "model.1"]}, "finetune.freeze names 'model.1', which the model has not"),
        ({"freeze": [11, 12]}, "finetune.freeze=.* freezes no layer: "),
        ({"freeze": [22], "head": True}, "freezes no layer of the backbone"),
        ({"freeze": 500, "head": True}, "finetune.freeze=500 leaves no layer that learns"),
        ({"device": "0,1"}, r"finetune.device=0,1 is absent \(\d+ GPUs here\)"),
        ({"box": 1e38, "epochs": 1}, r"diverged in epoch 1 \(train/box_loss .*: lower finetune.lr0"),
        ({"imgsz": 32, "batch": 7}, "the last batch is one tiny image, .* change finetune.batch"),
        (
            {"gradual": UnfreezingSchedule("schedule", 1, 1, 15, 0.5)},
            "gradual.groups .* 2 to 12 groups, not 15",
        ),
    ],
)
def test_impossible_argument_is_rejected_in_one_sentence(tmp_path, changes, sentence):
    trainings.dataset(tmp_path)
    with pytest.raises(UserError, match=sentence):
        trainings.run(trainings.job(tmp_path, **changes))


def test_label_of_an_unknown_class_is_rejected(tmp_path):
    trainings.dataset(tmp_path)
    label = min((tmp_path / "data/prepared/labels/train").iterdir())
    label.write_text("3 0.5 0.5 0.2 0.2\n")
    with pytest.raises(
        UserError, match=rf"{label.name} has class 3, but there are only 3 classes: run prepare again"
    ):
        trainings.run(trainings.job(tmp_path))


def test_training_runs_with_single_class_and_other_rare_arguments(tmp_path):
    trainings.dataset(tmp_path)
    outcome = trainings.run(
        trainings.job(tmp_path, single_cls=True, multi_scale=0.5, rect=False, cls_pw=0.5, epochs=1)
    )
    (tmp_path / "best.pt").write_bytes(outcome.weights["best"])
    assert YOLO(tmp_path / "best.pt").names == {0: "item"}
    assert outcome.names == ("item",)


def test_training_with_a_teacher_has_a_distillation_loss(tmp_path):
    trainings.dataset(tmp_path)
    teacher = tmp_path / "teacher.pt"
    teacher.write_bytes(trainings.run(trainings.job(tmp_path, epochs=1)).weights["best"])
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        path.unlink()
    found = {}
    for precision in ("fp32", "auto"):
        outcome = trainings.run(trainings.job(tmp_path, precision=precision, distill_model=str(teacher)))
        assert outcome.effective["precision"] == choose_cpu_precision(precision)
        found[precision] = [row["train/dis_loss"] for row in outcome.rows]
        for path in (tmp_path / "checkpoints").glob("*.ckpt"):
            path.unlink()
    assert all(losses[1] < losses[0] for losses in found.values())
    assert found["auto"] == pytest.approx(found["fp32"], rel=0.05)
    assert set(_tensors(tmp_path, outcome.weights["best"])) == set(load_weights(teacher).state_dict())
