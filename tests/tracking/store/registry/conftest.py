"""Runs with models, as a training and its evaluation log them; the weights are not loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.tracking.runs import attach_run, open_run
from pipeline.tracking.store.client import MlflowClientCache

TAGS = {"finetrack.task": "detect", "finetrack.data.digest": "d" * 64, "finetrack.git.commit": "c" * 40}
RESULT = {"test/mAP50-95": 0.5, "test/mAP50-95_low": 0.4, "test/mAP50-95_high": 0.6}
CHOSEN = {"conf": 0.4, "iou": 0.6, "max_det": 7, "imgsz": 96}


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    """Weights and an example in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
    Image.new("RGB", (32, 32)).save(tmp_path / "part.png")


@pytest.fixture
def store(target):
    return MlflowClientCache(target)


def train(target, key="k1", *, tags=TAGS, logs_model=True):
    with open_run(target, key=key, name=f"run {key}", tags=tags) as session:
        if logs_model:
            session.log_model(
                Path("best.pt"), example=Path("part.png"), metrics={"best/mAP50-95": 0.6}, imgsz=64
            )
    return session.run_id


def evaluate(target, run_id, key="k1", **metrics):
    with attach_run(target, key=key, run_id=run_id) as session:
        session.log_metrics(
            metrics or {"test/mAP50-95": 0.5, "test/mAP50-95_low": 0.4, "test/mAP50-95_high": 0.6}
        )
        session.set_model_defaults(CHOSEN)


def finish(target, key="k1"):
    """Return the run of a training that was evaluated."""
    run_id = train(target, key)
    evaluate(target, run_id, key)
    return run_id
