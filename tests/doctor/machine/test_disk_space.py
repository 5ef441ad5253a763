"""Free space, and what the next run needs."""

import pytest

from pipeline.doctor.machine import disk_space
from pipeline.doctor.machine.disk_space import check_disk_space


@pytest.mark.fault(5, "a disk too small for the next run")
@pytest.mark.parametrize(
    ("free", "needed", "states"),
    [
        (50e9, 1e9, ["ok"]),
        (0.5e9, 0.1e9, ["warning"]),
        (0.5e9, 1e9, ["fault"]),
    ],
)
def test_too_little_space_is_found(project, monkeypatch, free, needed, states):
    monkeypatch.setattr(disk_space, "count_free_bytes", lambda _: int(free))
    monkeypatch.setattr(disk_space, "estimate_needed_bytes", lambda _: int(needed))
    assert [finding.state for finding in check_disk_space(project)] == states


def test_a_configuration_that_cannot_be_read_needs_nothing(project):
    assert disk_space.estimate_needed_bytes(project) == 0
