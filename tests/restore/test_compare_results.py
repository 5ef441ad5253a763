"""How far results are from the record."""

import pytest

from pipeline.restore.compare_results import compare_results

RECORDED = {"test/mAP50-95": 0.5, "test/mAP50": 0.8, "test/AP50/pit": 0.7, "best/mAP50-95": 0.6}


def test_equal_results_are_equal_and_times_do_not_count():
    recorded = {**RECORDED, "test/latency/total": 3.0}
    found = compare_results(recorded, {**RECORDED, "test/latency/total": 9.0}, prefix="test/")
    assert found.is_equal
    assert (found.name, found.recorded, found.again) == ("test/mAP50-95", 0.5, 0.5)


@pytest.mark.parametrize(("change", "equal"), [(9e-7, True), (2e-6, False), (-2e-6, False)])
def test_the_largest_difference_of_any_metric_decides(change, equal):
    found = compare_results(RECORDED, {**RECORDED, "test/AP50/pit": 0.7 + change}, prefix="test/")
    assert (found.largest, found.is_equal) == ("test/AP50/pit", equal)
    assert found.difference == pytest.approx(abs(change))


@pytest.mark.parametrize("name", ["test/AP50/threads", "test/F1/low speed", "test/AP50/seconds"])
def test_a_class_that_is_called_like_a_time_counts(name):
    assert not compare_results(RECORDED | {name: 0.5}, RECORDED | {name: 0.6}, prefix="test/").is_equal


def test_a_class_that_mlflow_calls_otherwise_counts():
    recorded, again = RECORDED | {"test/AP50/nut _ bolt": 0.5}, RECORDED | {"test/AP50/nut & bolt": 0.6}
    found = compare_results(recorded, again, prefix="test/")
    assert (found.largest, found.is_equal) == ("test/AP50/nut _ bolt", False)


def test_metrics_of_the_other_group_do_not_count():
    assert compare_results(RECORDED, {**RECORDED, "best/mAP50-95": 0.1}, prefix="test/").is_equal


@pytest.mark.fault(3, "a proof without anything to compare")
def test_nothing_to_compare_is_no_equality():
    assert not compare_results({}, RECORDED, prefix="test/").is_equal
    assert not compare_results(RECORDED, {"test/mAP50": 0.8}, prefix="test/").name
