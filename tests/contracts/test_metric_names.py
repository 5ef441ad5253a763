"""The table of metric names has every metric that Ultralytics computes, for the right tasks."""

import pytest
from ultralytics.utils.metrics import ClassifyMetrics, DetMetrics, OBBMetrics, PoseMetrics, SegmentMetrics

from pipeline.core.metric_names import METRICS

KINDS = {
    "detect": DetMetrics,
    "obb": OBBMetrics,
    "segment": SegmentMetrics,
    "pose": PoseMetrics,
    "classify": ClassifyMetrics,
}


@pytest.mark.parametrize("task", KINDS)
def test_table_has_the_metrics_of_ultralytics(task):
    known = {metric.ultralytics for metric in METRICS.values() if metric.ultralytics and task in metric.tasks}
    of_boxes = {f"metrics/{name}(B)" for name in ("precision", "recall")} if task == "classify" else set()
    assert known - {"fitness"} - of_boxes == set(KINDS[task]().keys)
