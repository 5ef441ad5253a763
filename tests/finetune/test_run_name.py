"""Run names and summaries."""

import pytest

from pipeline.core.metric_names import THREADS
from pipeline.finetune.overfitting import OverfittingVerdict
from pipeline.finetune.run_name import build_run_name, describe_threads, summarize_training


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
    assert summarize_training([row, row], 1, OverfittingVerdict("mild", 0.1), task=task) == (
        f"val {headline} in epoch 1 of 2; overfitting mild (gap 0.100); 7 seconds of training"
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
