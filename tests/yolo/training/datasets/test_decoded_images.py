"""Decoded images of `cache: disk`, for classify: none is half written after a kill."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.yolo.training.datasets.classification_dataset import build_classification_dataset
from tests import trainings

HALF = b"\x93NUMPY"


@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError])
def test_half_written_decoded_image_is_not_left(tmp_path, monkeypatch, end):
    names = trainings.dataset(tmp_path, task="classify").names
    settings = SimpleNamespace(save_dir=tmp_path / "scratch", cache="disk", imgsz=32)
    folder = str(tmp_path / "data/prepared/images/val")
    dataset = build_classification_dataset(settings, [folder], data={"names": names}, train=False)

    def stop(target, _array, **_):
        if hasattr(target, "write"):
            target.write(HALF)
        else:
            Path(target).write_bytes(HALF)
        raise end

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", stop)
        with pytest.raises(end):
            dataset[0]
    first, again = dataset[0], dataset[0]
    assert first["img"].equal(again["img"])
    assert [path.name for path in (tmp_path / "scratch/images/val").iterdir()] == ["0000000.npy"]
