import pytest

from pipeline.yolo import epoch_metrics


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
def test_a_column_is_named_by_what_is_measured(theirs, ours):
    assert epoch_metrics.column(theirs) == ours


def test_figures_are_those_of_val():
    row = {"epoch": 1, "train/loss": 2.0, "metrics/top1": 0.5, "metrics/mask/mAP50": 0.25}
    assert epoch_metrics.figures(row) == {"top1": 0.5, "mask/mAP50": 0.25}


def test_losses_are_summed_where_train_and_val_have_them():
    rows = [
        {"train/a": 1.0, "train/b": 2.0, "train/dis": 9.0, "val/a": 3.0, "val/b": 0.0, "metrics/x": 7.0},
        {"train/a": 0.5, "train/b": 5.0, "train/dis": 9.0, "val/a": 4.0, "val/b": 0.0, "metrics/x": 7.0},
    ]
    assert epoch_metrics.losses(rows) == ([1.0, 0.5], [3.0, 4.0])


def test_losses_are_those_of_the_epochs_that_were_validated():
    seen = [{"train/a": 3.0, "val/a": 5.0}, {"train/a": 1.0, "val/a": 6.0}]
    rows = [{"train/a": 4.0}, seen[0], {"train/a": 2.0}, seen[1]]
    assert epoch_metrics.losses(rows) == ([3.0, 1.0], [5.0, 6.0])


def test_points_hold_what_any_task_measures():
    row = {"epoch": 3, "seconds": 9.0, "train/loss": 2.0, "val/loss": 3.0, "metrics/top1": 0.5, "lr/bn": 0.1}
    assert epoch_metrics.points([row]) == [
        (3, "loss", "train", 2.0),
        (3, "loss", "val", 3.0),
        (3, "top1", "val", 0.5),
    ]
