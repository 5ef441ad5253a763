"""The clock beside commits, files and the server's."""

import os
import time
from types import SimpleNamespace

import pytest

from pipeline.doctor.machine.clock import check_clock, format_duration


def test_a_right_clock_is_ok(repository, states):
    assert states(check_clock(repository)) == ["ok"]


@pytest.mark.fault(3, "a clock that is wrong")
def test_a_commit_from_the_future_is_found(repository, git):
    late = f"{int(time.time()) + 7200} +0000"
    git(repository, "commit", "-q", "--allow-empty", "-m", "late", GIT_COMMITTER_DATE=late)
    [found] = check_clock(repository)
    assert (found.state, "2.0 hours" in found.seen) == ("warning", True)


@pytest.mark.fault(3, "a clock that is wrong")
def test_a_file_from_the_future_is_found(project):
    (project.root / "params.yaml").write_text("seed: 0\n")
    os.utime(project.root / "params.yaml", (time.time() + 180,) * 2)
    [found] = check_clock(project)
    assert (found.state, "params.yaml" in found.seen, "3.0 minutes" in found.seen) == ("warning", True, True)


@pytest.mark.parametrize(
    ("ahead", "state"), [(2.0, "ok"), (-2.0, "ok"), (900.0, "warning"), (-900.0, "warning")]
)
def test_the_clock_of_the_server_is_compared(project, ahead, state):
    project.__dict__["_asked_server"] = SimpleNamespace(clock_ahead=ahead)
    [found] = check_clock(project)
    assert found.state == state


@pytest.mark.parametrize(
    ("seconds", "text"), [(59, "59 seconds"), (60, "1.0 minutes"), (5400, "1.5 hours"), (172800, "2.0 days")]
)
def test_lengths_of_time_are_short(seconds, text):
    assert format_duration(seconds) == text
