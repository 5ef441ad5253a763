"""The time per image: of at least 50 images, unless the model is far too slow, or fewer are asked for."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.yolo.inference import latency
from pipeline.yolo.inference.latency import measure_latency
from pipeline.yolo.inference.loaded_model import InferenceSettings

WEIGHTS = Path(__file__).parents[3] / "models/foundation/yolo26n-foundation.pt"
SETTINGS = InferenceSettings(imgsz=32, conf=0.3, iou=0.7, max_det=10, batch=1, device="cpu", threads=1)


@pytest.mark.parametrize(
    ("count", "limits", "timed"),
    [(52, (0, 300), 50), (52, (300, 300), 52), (4, (0, 300), 4), (52, (0, 0), 1)],
    ids=["slow", "fast", "few", "too slow"],
)
def test_a_slow_model_is_timed_on_fifty_images(tmp_path, monkeypatch, count, limits, timed):
    for name, seconds in zip(("MAX_SECONDS", "LIMIT_SECONDS"), limits, strict=True):
        monkeypatch.setattr(latency, name, seconds)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32, 3), np.uint8))
    found = measure_latency(WEIGHTS, [tmp_path / "a.png"], count=count, task="detect", settings=SETTINGS)
    assert found.images == timed
    assert 0 < found.inference < found.total
