"""Which exported files are refused."""

import math

import pytest

from pipeline.comparison.comparison_result import ModelComparison, PairedDifference
from pipeline.export.agreement import Agreement
from pipeline.export.measurement import ExportMeasurement, build_metrics, describe_difference, find_refusal
from pipeline.yolo.exporting.compare_latency import LatencyComparison


def measurement(first, second):
    main = PairedDifference(
        "mAP50-95", first, second, second - first - 0.02, second - first + 0.02, 0.5, 60, 128
    )
    comparison = ModelComparison("best.pt", "best.onnx", main, (), (), (), "no difference shown", "")
    return ExportMeasurement(comparison, Agreement(9, 10), LatencyComparison(30.0, 15.0, "cpu", 2))


@pytest.mark.parametrize(("first", "second"), [(0.6, 0.6), (0.6, 0.595), (0.6, 0.7), (0.0, 0.0)])
def test_file_within_the_tolerance_is_kept(first, second):
    assert find_refusal(measurement(first, second), tolerance=0.01) is None


def test_file_beyond_the_tolerance_is_refused_by_how_much():
    refusal = find_refusal(measurement(0.6, 0.55), tolerance=0.01)
    assert refusal is not None
    for number in ("0.550", "0.050", "0.600", "0.030 to 0.070", "0.01"):
        assert number in refusal


def test_file_that_is_kept_is_described_by_its_difference_and_the_tolerance():
    shown = describe_difference(measurement(0.6, 0.595), tolerance=0.01)
    for number in ("0.595", "-0.005", "0.600", "-0.025 to +0.015", "0.01"):
        assert number in shown


@pytest.mark.fault(3, "a figure that is no number passes every limit")
def test_file_without_a_figure_is_refused():
    found = measurement(0.6, math.nan)
    assert find_refusal(found, tolerance=1.0)
    assert build_metrics(found, megabytes=1.0)["mAP50-95"] is None


def test_metrics_say_file_and_checkpoint():
    found = build_metrics(measurement(0.6, 0.55), megabytes=3.5)
    assert found["mAP50-95"] == 0.55
    assert found["checkpoint"] == 0.6
    assert found["difference"] == pytest.approx(-0.05)
    assert found["agreement"] == 0.9
    assert (found["megabytes"], found["milliseconds"], found["checkpoint_milliseconds"]) == (3.5, 15.0, 30.0)
