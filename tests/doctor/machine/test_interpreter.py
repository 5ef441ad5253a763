"""Which Python runs, and which one DVC would start."""

import sys
from pathlib import Path

import pytest

from pipeline.doctor.machine import interpreter
from pipeline.doctor.machine.interpreter import check_interpreter


def test_this_python_is_the_one_of_the_stages(project, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    [found] = check_interpreter(project)
    assert found.state == "ok"


@pytest.mark.parametrize("with_other", [True, False])
def test_another_python_on_the_path_is_found(project, monkeypatch, tmp_path, with_other):
    if with_other:
        (tmp_path / "python").write_text("#!/bin/sh\n")
        (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    [found] = check_interpreter(project)
    assert (found.state, "activate" in found.advice) == ("warning", True)


def test_a_python_that_is_not_supported_is_a_fault(project, monkeypatch):
    monkeypatch.setattr(interpreter, "NEWEST", (3, 10))
    [found] = check_interpreter(project)
    assert found.state == "fault"
