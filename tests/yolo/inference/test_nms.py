"""What a prediction on the processor loads, and that it finds the same with and without torchvision."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[3]
TWICE = """
import sys
from pathlib import Path
import numpy as np
from pipeline.yolo.inference.predict import predict
how = {"imgsz": 160, "conf": 0.0, "iou": 0.3, "max_det": 300, "batch": 2, "device": "cpu"}
images = [Path("0.png"), Path("1.png")]
first = list(predict(Path(sys.argv[1]), images, **how))
assert not {"torchvision", "torch._dynamo", "sympy"} & sys.modules.keys()
import torchvision
again = list(predict(Path(sys.argv[1]), images, **how))
for one, other in zip(first, again, strict=True):
    assert 10 < len(one.scores) < 300, len(one.scores)
    for mine, theirs in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)
"""


def test_the_kernel_alone_finds_what_all_of_torchvision_finds(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{seed}.png"), cv2.resize(noise, (160, 160)))
    [weights] = (ROOT / "models/foundation").glob("*.pt")
    command = [sys.executable, "-c", TWICE, str(weights)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
