"""Free memory and shared memory."""

import pytest

from pipeline.doctor.machine import memory
from pipeline.doctor.machine.memory import check_memory


@pytest.mark.parametrize(
    ("free", "shared", "states"),
    [
        (8e9, 2e9, ["ok"]),
        (8e9, None, ["ok"]),
        (8e9, 64e6, ["warning"]),
        (0.3e9, 2e9, ["warning"]),
        (0.3e9, 64e6, ["warning", "warning"]),
    ],
)
def test_too_little_memory_is_found(project, monkeypatch, free, shared, states):
    monkeypatch.setattr(memory, "read_available_memory", lambda: int(free))
    monkeypatch.setattr(memory, "_read_shared_memory", lambda: shared)
    assert [finding.state for finding in check_memory(project)] == states
