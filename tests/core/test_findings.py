"""Counts, report and accounting of findings."""

import json

import pytest

from pipeline.core.findings import (
    Finding,
    check_file_accounting,
    count_items,
    serialize_findings,
    summarize_findings,
)

FOUND = [
    Finding("b.jpg", "quarantined", "empty"),
    Finding("a.jpg", "dropped-object", "object 1: no area", "no-area"),
    Finding("a.jpg", "dropped-object", "object 2: no area", "no-area"),
    Finding("c.jpg", "fixed", "clipped"),
    Finding("b.jpg", "quarantined", "second reason"),
]


def test_quarantined_file_is_counted_once():
    counts = count_items(FOUND, used=7)
    assert counts == (8, 7, 1)


def test_report_lists_every_finding_sorted_by_file():
    report = json.loads(serialize_findings(FOUND, used=7, remarks=["of the whole"]))
    assert {key: report[key] for key in report if key != "files"} == {
        "in": 8,
        "used": 7,
        "quarantined": 1,
        "remarks": ["of the whole"],
        "fixed": 1,
        "noted": 0,
        "dropped_objects": 2,
    }
    assert [entry["file"] for entry in report["files"]] == ["a.jpg", "a.jpg", "b.jpg", "b.jpg", "c.jpg"]
    assert report["files"][0] == {
        "file": "a.jpg", "verdict": "dropped-object", "reason": "object 1: no area", "kind": "no-area",
    }  # fmt: skip
    assert json.loads(serialize_findings([], used=3)) == {
        "in": 3,
        "used": 3,
        "quarantined": 0,
        "fixed": 0,
        "noted": 0,
        "dropped_objects": 0,
        "remarks": [],
        "files": [],
    }


def test_summary_is_cut_and_says_how_many_are_left_out():
    many = [Finding(f"{number}.jpg", "fixed", "clipped") for number in range(9)]
    assert summarize_findings(many, show=2) == [
        "fixed: 0.jpg: clipped",
        "fixed: 1.jpg: clipped",
        "fixed: and 7 more",
    ]
    assert summarize_findings([]) == []


def test_every_file_must_be_used_once_or_quarantined():
    check_file_accounting(["a.jpg", "b.jpg", "c.jpg"], ["a.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match=r"d\.jpg is lost"):
        check_file_accounting(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], ["a.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match=r"b\.jpg is used as well as quarantined"):
        check_file_accounting(["a.jpg", "b.jpg", "c.jpg"], ["a.jpg", "b.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match="used twice"):
        check_file_accounting(["a.jpg", "b.jpg"], ["a.jpg", "a.jpg"], FOUND)
