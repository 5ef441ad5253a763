"""The time per image of a trained model, and its parameters."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.yolo.inference import speed
from pipeline.yolo.inference.speed import count_parameters, measure_milliseconds

WEIGHTS = Path(__file__).parents[3] / "models/foundation/yolo26n-foundation.pt"


def test_larger_images_take_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "MIN_TIMED", 5)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((64, 64, 3), np.uint8))
    small, large = (
        measure_milliseconds(WEIGHTS, [tmp_path / "a.png"], imgsz=size, device="cpu") for size in (32, 256)
    )
    assert 0 < small < large


def test_parameters_are_those_of_the_checkpoint():
    assert 1_000_000 < count_parameters(WEIGHTS) < 4_000_000


def test_a_model_is_not_measured_without_images():
    with pytest.raises(UserError, match="no val images"):
        measure_milliseconds(WEIGHTS, [], imgsz=64, device="cpu")
