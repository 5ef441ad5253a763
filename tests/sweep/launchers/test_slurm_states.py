"""States of Slurm jobs, as squeue and sacct print them."""

from __future__ import annotations

import pytest

from pipeline.sweep.launchers.slurm_states import ALIVE_STATES, describe_state, query_states

SQUEUE = "17|RUNNING\n18|PENDING\n"
SACCT = "19|CANCELLED by 1000\n20|OUT_OF_ME+\n21|TIMEOUT\n"


def write_command(folder, name, output, code=0):
    path = folder / name
    path.write_text(f"#!/bin/sh\nprintf '{output}'\nexit {code}\n")
    path.chmod(0o755)


def test_squeue_knows_the_present_jobs_and_sacct_the_ended_ones(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    write_command(tmp_path, "squeue", SQUEUE)
    write_command(tmp_path, "sacct", SACCT)
    found = query_states(["17", "18", "19", "21", "22"])
    assert found == {"17": "RUNNING", "18": "PENDING", "19": "CANCELLED", "21": "TIMEOUT", "22": ""}
    assert {"RUNNING", "PENDING"} <= ALIVE_STATES
    write_command(tmp_path, "sacct", "accounting is disabled", code=1)
    write_command(tmp_path, "squeue", "", code=1)
    assert query_states(["17"]) == {"17": ""}


@pytest.mark.parametrize(
    ("state", "status", "again", "named"),
    [
        ("PREEMPTED", "killed", True, "it was preempted"),
        ("TIMEOUT", "killed", True, "sweep.slurm.time"),
        ("NODE_FAIL", "killed", True, "its node was lost"),
        ("CANCELLED", "killed", False, "was cancelled"),
        ("OUT_OF_MEMORY", "failed", False, "sweep.slurm.mem"),
        ("FAILED", "failed", False, "No module named pipeline"),
    ],
)
def test_only_jobs_that_may_end_otherwise_are_started_again(tmp_path, state, status, again, named):
    log = tmp_path / "log.out"
    log.write_text("Traceback\nNo module named pipeline\n\n")
    end = describe_state(state, "17", log=log)
    assert (end.status, end.again) == (status, again)
    assert named in end.reason
