"""Names of metrics, and tables of the figures of epochs."""

import math

import pytest

from pipeline.yolo.epoch_metrics import (
    convert_figures,
    convert_metric_name,
    list_curve_points,
    select_val_metrics,
    sum_losses,
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("metrics/mAP50-95(B)", "metrics/mAP50-95"),
        ("metrics/precision(M)", "metrics/mask/precision"),
        ("metrics/mAP50(P)", "metrics/pose/mAP50"),
        ("metrics/accuracy_top1", "metrics/top1"),
        ("val/box_loss", "val/box_loss"),
    ],
)
def test_metric_name_is_converted(theirs, ours):
    assert convert_metric_name(theirs) == ours


@pytest.mark.parametrize(("task", "added"), [("detect", {}), ("segment", {"metrics/fitness": 0.7})])
def test_figures_have_our_names_and_those_without_a_value_are_left_out(task, added):
    theirs = {"metrics/mAP50(B)": 0.5, "metrics/precision(B)": math.nan, "val/box_loss": 1, "lr/pg0": 0.1}
    found = convert_figures(theirs, 0.7, task)
    assert found == {"metrics/mAP50": 0.5, "val/box_loss": 1.0, **added}
    assert "metrics/fitness" not in convert_figures(theirs, None, task)


def test_val_metrics_are_selected_under_short_names():
    row = {"epoch": 1, "train/loss": 2.0, "metrics/top1": 0.5, "metrics/mask/mAP50": 0.25}
    assert select_val_metrics(row) == {"top1": 0.5, "mask/mAP50": 0.25}


def test_losses_that_both_splits_have_are_summed():
    rows = [
        {"train/a": 1.0, "train/b": 2.0, "train/dis": 9.0, "val/a": 3.0, "val/b": 0.0, "metrics/x": 7.0},
        {"train/a": 0.5, "train/b": 5.0, "train/dis": 9.0, "val/a": 4.0, "val/b": 0.0, "metrics/x": 7.0},
    ]
    assert sum_losses(rows) == ([1.0, 0.5], [3.0, 4.0])


def test_only_validated_epochs_have_losses():
    validated = [{"train/a": 3.0, "val/a": 5.0}, {"train/a": 1.0, "val/a": 6.0}]
    rows = [{"train/a": 4.0}, validated[0], {"train/a": 2.0}, validated[1]]
    assert sum_losses(rows) == ([3.0, 1.0], [5.0, 6.0])


def test_curve_points_hold_all_losses_and_metrics():
    row = {"epoch": 3, "seconds": 9.0, "train/loss": 2.0, "val/loss": 3.0, "metrics/top1": 0.5, "lr/bn": 0.1}
    assert list_curve_points([row]) == [
        (3, "loss", "train", 2.0),
        (3, "loss", "val", 3.0),
        (3, "top1", "val", 0.5),
    ]
