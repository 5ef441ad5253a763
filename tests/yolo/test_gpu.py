"""What only a GPU can show. It is hidden from all tests unless it is named (tests/conftest.py):

CUDA_VISIBLE_DEVICES=0 python -m pytest tests/yolo/test_gpu.py
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import yaml
from ultralytics import YOLO

from pipeline.yolo.gpu_loader import parameters
from pipeline.yolo.gpu_loader.loader import GpuLoader
from pipeline.yolo.gpu_loader.ultralytics_ranges import read
from pipeline.yolo.training import train
from tests import trainings

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or CUDA_VISIBLE_DEVICES names none"),
    pytest.mark.filterwarnings("default"),  # of Ultralytics' own operations that are not deterministic
]
STILL = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]


def _built(root, **changes):
    if not root.exists():
        trainings.dataset(root, train=16, val=4)
    return train.build(trainings.job(root, epochs=3, device=0, precision="auto", **changes))


def test_a_training_has_its_images_on_the_gpu_and_its_weights_serve_anywhere(tmp_path):
    root = tmp_path / "set"
    trainer = _built(root)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    trainer.train()
    used = trainer.effective
    assert (used["device"], used["loader"]) == ("cuda:0", "resident")
    assert used["precision"] == ("bf16" if bf16 else "fp16")
    assert all(math.isfinite(row["train/box_loss"]) for row in trainer.rows)
    outcome = trainings.run(trainings.job(root, epochs=3, device=0, precision="auto"))  # only to be written
    (tmp_path / "best.pt").write_bytes(outcome.weights["best"])
    image = str(min((root / "data/prepared/images/val").iterdir()))
    seen = [
        YOLO(tmp_path / "best.pt").predict(image, imgsz=64, conf=0.0, device=where) for where in ("cpu", 0)
    ]
    torch.testing.assert_close(*(found[0].boxes.conf[:5].cpu() for found in seen), atol=0.01, rtol=0)


def test_a_stopped_training_goes_on(tmp_path):
    trainer = _built(tmp_path / "set")

    def stop(_trainer):
        raise KeyboardInterrupt

    trainer.add_callback("on_fit_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    again = _built(tmp_path / "set")
    again.train()
    assert [row["epoch"] for row in again.rows] == [1, 2, 3]
    assert again.rows[0] == trainer.rows[0]


def test_making_a_batch_never_waits_for_the_gpu(tmp_path):
    trainer = _built(tmp_path / "set", degrees=10.0, perspective=0.0005, bgr=0.5)
    trainer._setup_train()
    loader = trainer.train_loader
    assert isinstance(loader, GpuLoader)
    draws = parameters.draw(np.arange(8), loader.sizes, read(loader.dataset), np.random.default_rng(0))
    loader.batch(draws)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = loader.batch(draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batch["img"].is_cuda


def test_what_frozen_layers_say_stays_on_the_gpu_and_changes_nothing(tmp_path):
    losses = []
    for fast in (True, False):
        trainer = _built(tmp_path / str(fast), fast=fast, freeze="backbone", **STILL)
        trainer.train()
        kept = (trainer.effective["frozen_features"], trainer.effective["frozen_features_val"])
        assert all(place.startswith("cuda:0 " if fast else "off: ") for place in kept)
        losses.append([row["train/cls_loss"] for row in trainer.rows])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
