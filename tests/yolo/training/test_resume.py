"""A training that was stopped and resumed gives the same files, byte for byte, as one without a stop."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from pipeline.yolo.training.train import train_model
from pipeline.yolo.unfreezing import UnfreezingSchedule
from tests import trainings

IMAGES = 11
"""Train images: with any batch size, the last batch is a smaller one."""
SCHEDULE = UnfreezingSchedule("schedule", every=1, stall=1, groups=3, decay=0.5)
STRATEGIES = {"full": {}, "head": {"freeze": "backbone", "head": True}, "gradual": {"gradual": SCHEDULE}}
AUGMENTED = {"scale": 0.5, "translate": 0.1, "fliplr": 0.5, "hsv_v": 0.4, "close_mosaic": 1}


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Two project folders with the same dataset."""
    roots = [tmp_path_factory.mktemp(name) for name in ("whole", "parts")]
    for root in roots:
        trainings.dataset(root, train=IMAGES, val=4)
    return roots


def _build_job(root, folder, case):
    settings = {**AUGMENTED, "epochs": 4, "warmup_epochs": 1.0, **case}
    strategy = STRATEGIES[settings.pop("strategy", "full")]
    job = trainings.job(root, weights=trainings.FOUNDATION, **settings, **strategy)
    shutil.rmtree(root / folder, ignore_errors=True)
    (root / folder).mkdir()
    return replace(job, folder=root / folder)


def _train(job, *, stop_after=None):
    """Train; stop as a kill does, after the checkpoint of an epoch is on the disk."""

    def stop(row):
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    return train_model(job, on_start=lambda _effective: None, on_epoch=stop)


def _check_same_files(projects, stop_after, **case):
    whole, parts = projects
    expected = _train(_build_job(whole, "checkpoints", case))
    job = _build_job(parts, "checkpoints", case)
    with pytest.raises(KeyboardInterrupt):
        _train(job, stop_after=stop_after)
    found = _train(job)
    assert found.weights == expected.weights
    assert found.best_epoch == expected.best_epoch
    return expected


@pytest.mark.parametrize(
    ("stop_after", "case"),
    [
        (2, {"batch": 4, "nbs": 16, "mosaic": 1.0}),
        (1, {"batch": 4, "nbs": 12, "mosaic": 1.0, "cache": False, "precision": "auto"}),
        (3, {"batch": 8, "nbs": 64, "mosaic": 1.0, "cache": "disk", "strategy": "gradual"}),
        (4, {"batch": 16, "nbs": 4, "strategy": "head"}),
    ],
)
def test_resumed_training_gives_the_same_files(projects, stop_after, case):
    _check_same_files(projects, stop_after, **case)
