"""Trainings on a GPU. No GPU has run them yet. They are skipped unless a GPU is named (tests/conftest.py):

CUDA_VISIBLE_DEVICES=0 python -m pytest tests/yolo/test_gpu.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import yaml
from ultralytics import YOLO

from pipeline.yolo.gpu_loader.loader import GpuLoader
from pipeline.yolo.gpu_loader.parameters import draw_parameters
from pipeline.yolo.gpu_loader.ultralytics_ranges import read_ranges
from pipeline.yolo.training.train import build_trainer
from tests import trainings

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or CUDA_VISIBLE_DEVICES names none"),
    pytest.mark.filterwarnings("default"),  # Ultralytics warns of its own non-deterministic operations
]
STILL = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]
LOADERS = [(True, "processes"), ("gpu", "resident")]


def _build(root, **changes):
    if not root.exists():
        trainings.dataset(root, train=16, val=4)
    return build_trainer(trainings.job(root, epochs=3, device=0, precision="auto", **changes))


@pytest.mark.parametrize(("fast", "loader"), LOADERS)
def test_training_uses_the_chosen_loader_and_its_weights_predict_on_cpu_and_gpu(tmp_path, fast, loader):
    root = tmp_path / "set"
    trainer = _build(root, fast=fast)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    trainer.train()
    used = trainer.effective
    assert (used["device"], used["loader"]) == ("cuda:0", loader)
    assert used["precision"] == ("bf16" if bf16 else "fp16")
    assert all(math.isfinite(row["train/box_loss"]) for row in trainer.rows)
    finished = trainings.run(trainings.job(root, epochs=3, device=0, precision="auto", fast=fast))
    (tmp_path / "best.pt").write_bytes(finished.weights["best"])
    image = str(min((root / "data/prepared/images/val").iterdir()))
    predictions = [
        YOLO(tmp_path / "best.pt").predict(image, imgsz=64, conf=0.0, device=device) for device in ("cpu", 0)
    ]
    torch.testing.assert_close(*(found[0].boxes.conf[:5].cpu() for found in predictions), atol=0.01, rtol=0)


@pytest.mark.parametrize("fast", [True, "gpu"])
def test_stopped_training_resumes(tmp_path, fast):
    trainer = _build(tmp_path / "set", fast=fast)

    def stop(_trainer):
        raise KeyboardInterrupt

    trainer.add_callback("on_fit_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    resumed = _build(tmp_path / "set", fast=fast)
    resumed.train()
    assert [row["epoch"] for row in resumed.rows] == [1, 2, 3]
    assert resumed.rows[0] == trainer.rows[0]


@pytest.mark.parametrize("batch", [-1, 0.5])
def test_automatic_batch_is_measured_and_trains(tmp_path, batch):
    trainer = _build(tmp_path / "set", fast=True, batch=batch)
    trainer.train()
    assert 1 <= trainer.effective["batch"] <= 16  # not more than there are images


def test_building_a_batch_never_waits_for_the_gpu(tmp_path):
    trainer = _build(tmp_path / "set", fast="gpu", degrees=10.0, perspective=0.0005, bgr=0.5)
    trainer._setup_train()
    loader = trainer.train_loader
    assert isinstance(loader, GpuLoader)
    ranges = read_ranges(loader.dataset)
    parameters = draw_parameters(np.arange(8), loader.sizes, ranges, np.random.default_rng(0))
    loader.build_batch(parameters)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = loader.build_batch(parameters)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batch["img"].is_cuda


def test_frozen_outputs_stay_on_the_gpu_and_do_not_change_the_losses(tmp_path):
    losses = []
    for fast, place in (("gpu", "cuda:0 "), (True, "off: "), (False, "off: ")):
        trainer = _build(tmp_path / str(fast), fast=fast, freeze="backbone", **STILL)
        trainer.train()
        stored = (trainer.effective["frozen_features"], trainer.effective["frozen_features_val"])
        assert all(text.startswith(place) for text in stored)
        losses.append([row["train/cls_loss"] for row in trainer.rows])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert losses[1] == pytest.approx(losses[2], rel=0.05)
