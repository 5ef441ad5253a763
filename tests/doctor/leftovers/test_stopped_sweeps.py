"""Clones of sweeps that do not run."""

import pytest

from pipeline.doctor.leftovers.stopped_sweeps import check_stopped_sweeps
from pipeline.storage.files import hold_writer_lock


@pytest.mark.fault(14, "a sweep was killed")
def test_the_clones_of_a_stopped_sweep_are_told_and_stay(project, states):
    place = project.root / ".finetrack/sweeps/lr0-1a2b3c"
    (place / "workspaces/0").mkdir(parents=True)
    with hold_writer_lock(place / "lock", what="the sweep"):
        assert states(check_stopped_sweeps(project)) == ["ok"]
    [found] = check_stopped_sweeps(project)
    assert (found.state, "1 clone" in found.seen, found.repair) == ("warning", True, None)


def test_a_sweep_that_has_ended_left_none(project, states):
    (project.root / ".finetrack/sweeps/lr0-1a2b3c").mkdir(parents=True)
    assert states(check_stopped_sweeps(project)) == ["ok"]
