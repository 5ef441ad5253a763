"""Sources of images and videos, and a request to predict on them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.iterations.iteration import Iteration
from pipeline.predict.choose_model import ChosenModel
from pipeline.predict.request import FORMATS, PredictionRequest
from tests.builders import draw_objects

WEIGHTS = Path(__file__).parents[2] / "models/foundation/yolo26n-foundation.pt"
SETTINGS = {
    "imgsz": 64, "conf": 0.05, "iou": 0.7, "max_det": 50, "batch": 2, "device": "cpu", "threads": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _another_project(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("project")))


@pytest.fixture
def source(tmp_path):
    """A folder with images in subfolders, of two shapes."""
    return write_images(tmp_path / "source")


def draw_image(seed, size=(64, 64)):
    image, _ = draw_objects(np.array([0, 1]), pixels=96, rng=np.random.default_rng(seed))
    return np.ascontiguousarray(image[: size[1], : size[0]])


def write_images(folder, *, count=7):
    for index in range(count):
        path = folder / f"part_{index % 2}" / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), draw_image(index, (64, 64) if index % 3 else (96, 64)))
    return folder


def write_video(path, *, frames=9, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, size)
    for index in range(frames):
        writer.write(draw_image(index, size))
    writer.release()
    return path


def build_request(sources, output, *, weights=WEIGHTS, formats=FORMATS, **settings):
    iteration = Iteration(str(weights), "file", weights.name, file=weights)
    chosen = ChosenModel(iteration, weights, {**SETTINGS, **settings}, ("model a", "scores from 0.05"))
    return PredictionRequest([Path(each) for each in sources], output, formats, chosen)
