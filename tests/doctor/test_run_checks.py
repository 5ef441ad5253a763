"""Checks that fail or hang are findings, too; findings fit into 80 columns, and are JSON."""

import importlib
import json
import sys
import time
from functools import partial
from types import ModuleType

import pytest

from pipeline.core.errors import UserError
from pipeline.doctor.apply_repairs import apply_repairs
from pipeline.doctor.check_finding import CheckFinding, RepairOutcome
from pipeline.doctor.check_list import CHECKS, DoctorCheck
from pipeline.doctor.format_findings import format_finding, format_json, format_summary
from pipeline.doctor.run_checks import run_check


def fail(error):
    def check(_):
        raise error

    return check


def hang(_):
    yield CheckFinding("ok", "begun")
    time.sleep(5)


@pytest.fixture
def planted(monkeypatch):
    """Return a check whose function is the given one."""

    def plant(function):
        module = ModuleType("pipeline.doctor.planted")
        module.check_planted = function
        monkeypatch.setitem(sys.modules, "pipeline.doctor.planted", module)
        return DoctorCheck("planted", "planted:check_planted", 0.2)

    return plant


def test_each_check_of_the_list_exists_and_has_a_name_of_its_own():
    for check in CHECKS:
        module, _, function = check.function.partition(":")
        assert callable(getattr(importlib.import_module(f"pipeline.doctor.{module}"), function))
    assert len({check.name for check in CHECKS}) == len(CHECKS)


@pytest.mark.fault(13, "a check of the doctor fails or hangs")
@pytest.mark.parametrize(
    ("function", "state", "named"),
    [
        (fail(UserError("the disk is on fire: put it out")), "fault", "the disk is on fire"),
        (fail(ModuleNotFoundError("no", name="dvc")), "fault", "dvc is not installed"),
        (fail(PermissionError(13, "denied", "/a")), "fault", "/a"),
        (fail(ZeroDivisionError("by zero")), "warning", "ZeroDivisionError"),
        (hang, "fault", "within 0.2 s"),
    ],
)
def test_a_check_that_fails_is_a_finding(project, planted, function, state, named):
    found = run_check(project, planted(function))
    assert (found[-1].state, found[-1].check) == (state, "planted")
    assert named in found[-1].seen


def test_repairs_are_made_once_and_their_checks_repeated(project, monkeypatch, planted):
    marks = project.root / "marks"

    def check(_):
        if marks.exists():
            yield CheckFinding("ok", "mended")
        else:
            yield CheckFinding("fault", "broken", repair=lambda: str(marks.write_text("x")))
            yield CheckFinding("fault", "also", repair=partial(fail(UserError("it is in use")), None))

    monkeypatch.setattr("pipeline.doctor.apply_repairs.CHECKS", [planted(check)])
    report = apply_repairs(run_check(project, planted(check)), project.examine_again)
    assert report.repairs == [
        RepairOutcome("planted", "1", is_done=True),
        RepairOutcome("planted", "nothing was done: it is in use", is_done=False),
    ]
    assert [finding.seen for finding in report.findings] == ["mended"]


@pytest.mark.parametrize("words", [1, 30, 200])
def test_lines_fit_into_80_columns(words):
    finding = CheckFinding("warning", "word " * words, "do this " * words, check="disk space")
    lines = [*format_finding(finding)]
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("warning  disk space    word")
    assert sum(line.count("word") for line in lines) == words


def test_findings_are_json_without_code():
    findings = [CheckFinding("ok", "fine", check="git"), CheckFinding("fault", "bad", "do", str, "locks")]
    content = json.loads(
        format_json(findings, [RepairOutcome("locks", "deleted", is_done=True)], ascii_only=False)
    )
    assert content["count"] == {"ok": 1, "warning": 0, "fault": 1}
    assert content["findings"][1] == {
        "check": "locks",
        "state": "fault",
        "seen": "bad",
        "advice": "do",
        "repair": True,
    }
    assert content["repairs"] == [{"check": "locks", "done": True, "did": "deleted"}]
    assert format_summary(findings, fix=False).startswith(
        "1 ok, 0 warnings, 1 fault; `finetrack doctor --fix`"
    )
