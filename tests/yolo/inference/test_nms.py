"""NMS by torchvision's kernel alone, by all of torchvision, and where the kernel's file is not found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from ultralytics.utils import nms as ultralytics_nms

from pipeline.yolo.inference.nms import lift_time_limit

ROOT = Path(__file__).parents[3]
SCRIPT = """
import logging, sys
from pathlib import Path
import numpy as np
from pipeline.yolo.inference import nms
from pipeline.yolo.inference.predict import predict_detections

messages = []
handler = logging.Handler()
handler.emit = lambda record: messages.append(record.getMessage())
logging.getLogger(nms.__name__).addHandler(handler)
logging.getLogger(nms.__name__).setLevel(logging.DEBUG)
how = {"imgsz": 160, "conf": 0.0, "iou": 0.3, "max_det": 300, "batch": 2, "device": "cpu"}
images = [Path("0.png"), Path("1.png")]

def predict():
    found = list(predict_detections(Path(sys.argv[1]), images, **how))
    assert all(10 < len(image.scores) < 300 for image in found)
    return [array for image in found for array in image[:3]]

heavy = {"torchvision", "torch._dynamo", "sympy"}
"""
KERNEL_AND_TORCHVISION = """
kernel = predict()
assert not heavy & sys.modules.keys()
import torchvision
np.savez("kernel", *kernel)
np.savez("torchvision", *predict())
assert not messages
"""
FALLBACK = """
nms.KERNEL_FILES = "moved/_C.*"
np.savez("fallback", *predict())
assert "torchvision" in sys.modules
assert not nms._load_kernel()
[message] = messages
assert message.endswith("moved/_C.*: Ultralytics imports torchvision instead"), message
"""


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """The arrays of all detections in two images of noise, by the way in which NMS ran."""
    folder = tmp_path_factory.mktemp("nms")
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        cv2.imwrite(str(folder / f"{seed}.png"), cv2.resize(noise, (160, 160)))
    [weights] = (ROOT / "models/foundation").glob("*.pt")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DVC_ROOT", None)
    for steps in (KERNEL_AND_TORCHVISION, FALLBACK):
        command = [sys.executable, "-c", SCRIPT + steps, str(weights)]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return {path.stem: list(np.load(path).values()) for path in folder.glob("*.npz")}


@pytest.mark.parametrize("way", ["torchvision", "fallback"])
def test_kernel_alone_gives_the_same_detections(predictions, way):
    assert len(predictions["kernel"]) == len(predictions[way]) == 6
    for one, other in zip(predictions["kernel"], predictions[way], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("rotated", [False, True])
def test_every_image_of_a_batch_is_finished_however_long_it_takes(monkeypatch, rotated):
    own = ultralytics_nms.non_max_suppression  # another test of this process may have lifted it
    monkeypatch.setattr(ultralytics_nms, "non_max_suppression", getattr(own, "func", own))
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr(ultralytics_nms, "time", SimpleNamespace(time=lambda: next(clock)))
    boxes = torch.rand(3, 6 if rotated else 5, 8) * 50 + 1
    boxes[:, 4] = 0.9

    def count_detections():
        found = ultralytics_nms.non_max_suppression(boxes.clone(), nc=1, rotated=rotated)
        return [len(image) > 0 for image in found]

    assert count_detections() == [True, False, False]
    for _ in range(2):
        lift_time_limit()
    assert count_detections() == [True, True, True]
