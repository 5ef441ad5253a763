import json

import pytest

from pipeline.core.findings import Finding, count, render, settle, summary

FOUND = [
    Finding("b.jpg", "quarantined", "empty"),
    Finding("a.jpg", "dropped-object", "object 1: no area", "no-area"),
    Finding("a.jpg", "dropped-object", "object 2: no area", "no-area"),
    Finding("c.jpg", "fixed", "clipped"),
    Finding("b.jpg", "quarantined", "second reason"),
]


def test_counts_add_up_and_a_file_is_quarantined_once():
    counts = count(FOUND, used=7)
    assert counts == (8, 7, 1)


def test_the_report_names_every_finding_in_the_order_of_files():
    report = json.loads(render(FOUND, used=7, remarks=["of the whole"]))
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
    assert json.loads(render([], used=3)) == {
        "in": 3,
        "used": 3,
        "quarantined": 0,
        "fixed": 0,
        "noted": 0,
        "dropped_objects": 0,
        "remarks": [],
        "files": [],
    }


def test_the_summary_is_short_and_says_how_much_it_leaves_out():
    many = [Finding(f"{number}.jpg", "fixed", "clipped") for number in range(9)]
    assert summary(many, show=2) == ["fixed: 0.jpg: clipped", "fixed: 1.jpg: clipped", "fixed: and 7 more"]
    assert summary([]) == []


def test_what_came_in_is_used_or_quarantined():
    settle(["a.jpg", "b.jpg", "c.jpg"], ["a.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match=r"d\.jpg is lost"):
        settle(["a.jpg", "b.jpg", "c.jpg", "d.jpg"], ["a.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match=r"b\.jpg is used as well as quarantined"):
        settle(["a.jpg", "b.jpg", "c.jpg"], ["a.jpg", "b.jpg", "c.jpg"], FOUND)
    with pytest.raises(RuntimeError, match="used twice"):
        settle(["a.jpg", "b.jpg"], ["a.jpg", "a.jpg"], FOUND)
