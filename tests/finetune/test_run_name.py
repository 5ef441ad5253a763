"""Run names and summaries."""

import json

import pytest

from pipeline.core.metric_names import THREADS
from pipeline.finetune.overfitting import OverfittingVerdict
from pipeline.finetune.run_name import (
    build_run_name,
    describe_threads,
    label_changed_values,
    summarize_training,
)
from pipeline.yolo.job import TrainingResult, WeightAverage


@pytest.mark.parametrize(
    ("lr0", "shown"),
    [
        (None, "lrauto"),
        (0.001, "lr1e-3"),
        (0.0005, "lr5e-4"),
        (0.0015, "lr1.5e-3"),  # rounded to one digit it would be 2e-3
        (0.01, "lr0.01"),
        (0.0125, "lr0.0125"),
    ],
)
def test_run_name_shows_the_learning_rate(lr0, shown):
    assert build_run_name("full", "foundation", lr0=lr0, key="3f2a1c9d") == f"full-foundation-{shown}-3f2a1c"


def test_run_name_in_a_sweep_shows_first_what_differs(monkeypatch):
    monkeypatch.setenv("FINETRACK_RUN_NAME", "lr0=0.001 augment=light")
    name = build_run_name("full", "foundation", lr0=0.001, key="3f2a1c9d")
    assert name == "lr0=0.001 augment=light 3f2a1c"


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, ""),
        ({"finetune": {"lr0": 0.004}}, "lr0=0.004"),
        ({"finetune": {"epochs": 50}, "seed": 1}, "seed=1 epochs=50"),
        ({"finetune": {"lr0": 0.002, "epochs": 20.0}}, ""),
        ({"data": {"unlabelled_source": "/disk/more"}}, "unlabelled_source=more"),
        ({"finetune": {"strategy": "head"}, "model": {"name": "other"}}, ""),
        ({"finetune": {"strategy": "head", "lr0": 0.01}}, "lr0=0.01"),
        ({"tracking": {"uri": "b"}, "evaluate": {"iou": 0.5}}, ""),
        ({"finetune": {name: 7 for name in ("lr0", "epochs", "imgsz", "batch")}}, ""),
    ],
)
def test_the_values_that_an_experiment_changes_are_named(changes, label, tmp_path):
    conf = {
        "seed": 0,
        "data": {"unlabelled_source": None},
        "model": {"name": "foundation"},
        "finetune": {"lr0": 0.002, "epochs": 20, "strategy": "full", "imgsz": 320, "batch": 8},
        "evaluate": {"iou": 0.7},
        "tracking": {"uri": "a"},
    }
    (tmp_path / "lock.json").write_text(json.dumps({"composed": conf}))
    values = {
        key: {**own, **changes.get(key, {})} if isinstance(own, dict) else changes.get(key, own)
        for key, own in conf.items()
    }
    assert label_changed_values(values, tmp_path / "lock.json") == label


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"composed": 1}'])
def test_without_a_lock_nothing_is_known_to_be_changed(content, tmp_path):
    if content is not None:
        (tmp_path / "lock.json").write_text(content)
    assert label_changed_values({"seed": 0}, tmp_path / "lock.json") == ""


def test_run_name_of_an_experiment_shows_what_it_changes():
    name = build_run_name("full", "foundation", lr0=0.001, key="3f2a1c9d", changed="epochs=50")
    assert name == "full-foundation epochs=50 3f2a1c"


@pytest.mark.parametrize(
    ("task", "headline"),
    [
        ("detect", "mAP50-95 0.500, mAP50 0.600"),
        ("obb", "mAP50-95 0.500, mAP50 0.600"),
        ("segment", "mask/mAP50-95 0.250, mask/mAP50 0.750, mAP50-95 0.500"),
        ("pose", "pose/mAP50-95 0.100, pose/mAP50 0.200, mAP50-95 0.500"),
        ("classify", "top1 0.300, top5 0.900"),
    ],
)
def test_summary_begins_with_the_main_metric_of_the_task(task, headline):
    boxes = {"metrics/mAP50-95": 0.5, "metrics/mAP50": 0.6, "metrics/top1": 0.3, "metrics/top5": 0.9}
    masks = {"metrics/mask/mAP50-95": 0.25, "metrics/mask/mAP50": 0.75}
    row = {**boxes, **masks, "metrics/pose/mAP50-95": 0.1, "metrics/pose/mAP50": 0.2, "seconds": 7.0}
    outcome = TrainingResult({}, (), [row, row], 1, {})
    assert summarize_training(outcome, OverfittingVerdict("mild", 0.1), task=task) == (
        f"val {headline} in epoch 1 of 2; overfitting mild (gap 0.100); 7 seconds of training"
    )


@pytest.mark.parametrize(
    ("is_taken", "best"), [(True, "0.700 of the mean of epochs 1, 2 of 2"), (False, "0.500 in epoch 1 of 2")]
)
def test_summary_names_the_weights_of_best_pt(is_taken, best):
    row, mean = {"metrics/mAP50-95": 0.5, "seconds": 7.0}, {"metrics/mAP50-95": 0.7}
    outcome = TrainingResult(
        {}, (), [row, row], 1, {}, WeightAverage((1, 2), mean, is_taken=is_taken, is_estimated=True)
    )
    assert summarize_training(outcome, OverfittingVerdict("mild", 0.1), task="detect") == (
        f"val mAP50-95 {best}; overfitting mild (gap 0.100); 7 seconds of training"
    )


@pytest.mark.parametrize(
    ("averages", "described"),
    [
        ([2.0], "2"),
        ([2.0, 2.0, 2.0], "2"),
        ([2.0, 2.0, 1.37, 1.0, 1.0, 1.0, 2.0], "2 in epochs 1-2, 1.37 in 3, 1 in 4-6, 2 in 7"),
    ],
)
def test_threads_are_described_by_their_average_in_spans_of_epochs(averages, described):
    rows = [{"epoch": float(epoch), THREADS: average} for epoch, average in enumerate(averages, 1)]
    assert describe_threads(rows) == described
