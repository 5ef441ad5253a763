"""A rate test on real networks: it repeats itself, leaves no trace, and works for every task and strategy."""

from __future__ import annotations

import gc
import math
import random

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from pipeline.yolo.rate_test import run_rate_test as module
from pipeline.yolo.rate_test.run_rate_test import run_rate_test
from pipeline.yolo.unfreezing import UnfreezingSchedule
from tests import trainings

USUAL = 0.002
GRADUAL = UnfreezingSchedule("schedule", 1, 3, 4, 0.9)
FROZEN = {"head": True, "freeze": "backbone", "mosaic": 0.0, "translate": 0.0, "scale": 0.0}


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 3)


@pytest.mark.slow
def test_a_test_repeats_itself_and_leaves_no_trace(tmp_path):
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, weights=trainings.FOUNDATION, threads=1, nbs=8, batch=4, lr0="auto")
    files = {*tmp_path.rglob("*")}
    first = run_rate_test(job, USUAL)
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(5)
    assert run_rate_test(job, USUAL) == first
    assert {*tmp_path.rglob("*")} == files
    assert not torch.are_deterministic_algorithms_enabled()
    rates = [point.rate for point in first.points]
    assert rates == pytest.approx(np.geomspace(USUAL / 16, USUAL * 8, 3))
    assert first.points[0].loss == pytest.approx(1.0, abs=1e-3)


@pytest.mark.slow
def test_the_network_of_a_test_is_gone_at_its_end(tmp_path):
    """Its memory is the training's, on a GPU most of all."""
    trainings.dataset(tmp_path)
    gc.collect()
    before = _count_networks()
    gc.disable()
    try:
        run_rate_test(trainings.job(tmp_path, threads=1, lr0="auto"), USUAL)
        assert _count_networks() == before
    finally:
        gc.enable()


def _count_networks():
    return sum(issubclass(type(each), DetectionModel) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        pytest.param("segment", {}, marks=pytest.mark.slow),
        pytest.param("obb", {}, marks=pytest.mark.slow),
        pytest.param("pose", {}, marks=pytest.mark.slow),
        pytest.param("classify", {"head": True, "freeze": 10}),
        pytest.param("detect", FROZEN),
        pytest.param("detect", {"gradual": GRADUAL}, marks=pytest.mark.slow),
        pytest.param("detect", {"weights": None, "precision": "auto", "fast": False}, marks=pytest.mark.slow),
    ],
    ids=["segment", "obb", "pose", "classify", "head", "gradual", "scratch"],
)
def test_each_task_and_strategy_can_be_tested(tmp_path, monkeypatch, task, settings):
    monkeypatch.setattr(module, "STEPS", 2)
    trainings.dataset(tmp_path, train=4, val=1, task=task)
    job = trainings.job(tmp_path, task=task, **{"weights": trainings.FOUNDATION, **settings})
    points = run_rate_test(job, USUAL).points
    assert len(points) == 2
    assert all(math.isfinite(point.loss) and point.loss > 0 for point in points)


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        ([0.9, 0.9], False),
        ([0.95, 0.94, 0.9], True),
        ([0.95, 0.94, 0.99], False),
        ([1.1, 1.2, 1.3], True),
        ([1.0, 1.2, 1.3], False),
    ],
)
def test_a_test_ends_when_its_curve_is_clear(last, ends):
    assert module._is_clear(last) is ends


@pytest.mark.parametrize(
    ("before", "current", "is_number"),
    [(2.0, 1.0, True), (math.inf, 1.0, False), (1.0, math.inf, False), (0.0, 1.0, False), (1.0, -1.0, False)],
)
def test_losses_that_are_no_positive_numbers_have_no_ratio(before, current, is_number):
    assert math.isfinite(module.compute_log_ratio(before, current)) is is_number
    assert math.isnan(module.compute_log_ratio(before, math.nan))


@pytest.mark.slow
def test_a_test_that_diverges_gives_the_usual_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STEPS", 30)
    trainings.dataset(tmp_path)
    job = trainings.job(tmp_path, weights=trainings.FOUNDATION, optimizer="SGD")
    found = run_rate_test(job, 1.0)
    assert len(found.points) < 30
    assert found.lr0 == 1.0
    assert "the usual rate" in found.reason
