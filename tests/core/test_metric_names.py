"""The table of metric names: one main metric for each task, names as written to files."""

import pytest

from pipeline.core.metric_names import (
    MAIN_METRICS,
    MAP50,
    METRICS,
    PRECISION,
    TASK_PREFIXES,
    get_main_metric,
    get_task_metric,
)
from pipeline.core.tasks import TASKS

MAIN = {
    "detect": "mAP50-95",
    "obb": "mAP50-95",
    "segment": "mask/mAP50-95",
    "pose": "pose/mAP50-95",
    "classify": "top1",
}


@pytest.mark.parametrize(("task", "name"), MAIN.items())
def test_every_task_has_one_main_metric_of_its_own(task, name):
    assert get_main_metric(task) == name
    assert [metric.name for metric in METRICS.values() if task in metric.main_for] == [name]
    assert task in METRICS[name].tasks


def test_main_metrics_have_task_measures_before_boxes_and_are_better_if_higher():
    assert MAIN_METRICS == ("mask/mAP50-95", "pose/mAP50-95", "mAP50-95", "top1")
    assert all(METRICS[name].higher_is_better for name in MAIN_METRICS)


def test_task_metric_has_the_prefix_of_the_task():
    assert [get_task_metric(MAP50, task) for task in ("detect", "obb", "segment", "pose")] == [
        *("mAP50", "mAP50", "mask/mAP50", "pose/mAP50")
    ]
    assert get_task_metric(PRECISION, "classify") == "precision"


def test_names_are_as_written_to_files():
    boxes = ("mAP50-95", "mAP50", "precision", "recall", "F1")
    expected = {prefix + name for prefix in ("", *TASK_PREFIXES.values()) for name in boxes}
    assert set(METRICS) == expected | {"top1", "top5", "fitness", "overfitting/gap"}
    assert METRICS["pose/mAP50-95"].per_class == "pose/AP50-95"
    assert METRICS["mAP50"].per_class == "AP50"


@pytest.mark.parametrize("task", TASKS)
def test_higher_is_worse_for_the_overfitting_gap_alone(task):
    worse = [name for name, metric in METRICS.items() if task in metric.tasks and not metric.higher_is_better]
    assert worse == ["overfitting/gap"]
