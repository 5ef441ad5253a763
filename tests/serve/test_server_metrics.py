"""Metrics are text that Prometheus reads."""

from __future__ import annotations

import re

from pipeline.serve.server_metrics import ServerMetrics

SAMPLE = re.compile(
    r'[a-z_]+(\{[a-z0-9_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z0-9_]+="(?:[^"\\\n]|\\.)*")*\})? [-+0-9.e]+'
)


def test_the_metrics_are_valid_and_add_up():
    metrics = ServerMetrics()
    for seconds in (0.001, 0.02, 0.02, 99):
        metrics.count_request("/predict", 200, seconds)
    metrics.count_request("/predict", 400, 1)
    metrics.count_batch(8, 0.1)
    metrics.count_reload(failed=True)
    text = metrics.format(waiting=3, active=4, model={"label": 'a "b" \\ \n c'})
    for line in text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line
    for line in (
        'finetrack_requests_total{path="/predict",status="200"} 4',
        "finetrack_images_total 8",
        "finetrack_reload_failures_total 1",
        'finetrack_request_seconds_bucket{le="0.025"} 3',
        'finetrack_request_seconds_bucket{le="10.0"} 3',
        'finetrack_request_seconds_bucket{le="+Inf"} 4',
        "finetrack_request_seconds_count 4",
        "finetrack_waiting_requests 3",
        'finetrack_model_info{label="a \\"b\\" \\\\ \\n c"} 1',
    ):
        assert line in text.splitlines()
