"""Slurm jobs of a sweep, by commands that answer as Slurm's do."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from queue import Queue

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import SweepContext, SweepJob
from pipeline.sweep.launchers import slurm, slurm_states
from pipeline.sweep.launchers.cluster import ClusterLauncher
from pipeline.sweep.launchers.slurm import SlurmCluster
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.workers.job_request import JobRequest

NO_CONTACT = "sbatch: error: Unable to contact slurm controller (connect failure)"
JOB = SweepJob(0, 0, 0, (), "", "s-0")
TRIES = 'echo x >> "$0.tries"; '


def write_command(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def count_tries(commands):
    return len((commands / "sbatch.tries").read_text().split())


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A folder with Slurm's commands; squeue says that the job waits."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_states, "REFRESH_SECONDS", 0.0)
    for name, script in {
        "srun": "exit 0",
        "scancel": "exit 0",
        "sacct": "exit 1",
        "sbatch": f"{TRIES}echo Submitted batch job 17",
        "squeue": "echo '17|PENDING'",
    }.items():
        write_command(folder, name, script)
    return folder


@pytest.fixture
def cluster(commands, tmp_path):  # noqa: ARG001 - submitit looks for them
    folder = tmp_path / "sweep"
    folder.mkdir()
    context = SweepContext("s", tmp_path, folder, "c", {})
    return SlurmCluster(context, SweepSettings(name="s", launcher="slurm"))


@pytest.fixture
def clock(monkeypatch):
    """Clocks that stand still, and are set; the wall clock is that of another machine."""
    now = {"own": 1000.0}
    monkeypatch.setattr(slurm.time, "monotonic", lambda: now["own"])
    return now


def submit(cluster):
    return cluster.submit(JobRequest(JOB, cluster._context), lambda _: False)


@pytest.mark.fault(14, "Slurm does not answer once, after a job has waited for long")
def test_a_job_that_waits_is_lost_once_slurm_has_not_known_it_for_long(cluster, commands, clock):
    attempt = submit(cluster)
    clock["own"] += 10 * slurm.UNSTARTED_SECONDS
    assert attempt.find_end() is None  # it waits
    write_command(commands, "squeue", "exit 1")
    clock["own"] += slurm.UNSTARTED_SECONDS - 1
    assert attempt.find_end() is None
    clock["own"] += 2
    assert attempt.find_end().again


@pytest.mark.fault(14, "the clock of a node, or of the disk, is wrong by hours")
@pytest.mark.parametrize("skew", [-9000, 9000])
def test_a_running_job_is_lost_once_its_file_has_not_changed_for_long(cluster, commands, clock, skew):
    attempt = submit(cluster)
    events = Path(attempt._files.events)
    events.parent.mkdir(parents=True, exist_ok=True)
    events.write_text("{}\n")
    write_command(commands, "squeue", "exit 1")
    for step in range(4):
        os.utime(events, (1e9 + skew + step, 1e9 + skew + step))
        assert attempt.find_end() is None
        clock["own"] += slurm.SILENT_SECONDS - 1
    assert attempt.find_end() is None
    clock["own"] += 2
    assert attempt.find_end().status == "killed"


def test_a_result_may_become_visible_after_slurm_says_that_its_job_ended(cluster, commands, clock):
    attempt = submit(cluster)
    clock["own"] += 1000.0  # Slurm was not asked meanwhile
    write_command(commands, "squeue", "echo '17|COMPLETED'")
    assert attempt.find_end() is None
    clock["own"] += slurm.LATE_SECONDS
    assert attempt.find_end().status == "failed"


@pytest.mark.fault(14, "the controller of Slurm restarts while a job is submitted")
def test_a_job_is_submitted_again_only_where_slurm_took_none(cluster, commands, monkeypatch):
    monkeypatch.setattr(slurm, "CONTACT_PAUSES", (0.0, 0.0))
    once = (
        f'[ "$(wc -l < "$0.tries")" -gt 1 ] && echo Submitted batch job 17 && exit 0; echo "{NO_CONTACT}" >&2'
    )
    write_command(commands, "sbatch", f"{TRIES}{once}; exit 1")
    assert submit(cluster)._job.job_id == "17"
    assert count_tries(commands) == 2


@pytest.mark.parametrize(
    ("answer", "tries"), [(NO_CONTACT, 3), ("sbatch: error: Socket timed out on send/recv operation", 1)]
)
def test_a_job_that_slurm_does_not_take_is_one_sentence(cluster, commands, monkeypatch, answer, tries):
    monkeypatch.setattr(slurm, "CONTACT_PAUSES", (0.0, 0.0))
    write_command(commands, "sbatch", f'{TRIES}echo "{answer}" >&2; exit 1')
    with pytest.raises(UserError, match="Slurm refused the job"):
        submit(cluster)
    assert count_tries(commands) == tries


@pytest.mark.fault(14, "Ctrl-C while Slurm's controller is away")
def test_a_stop_ends_the_wait_for_slurm_and_nothing_is_submitted(cluster, commands):
    write_command(commands, "sbatch", f'{TRIES}echo "{NO_CONTACT}" >&2; exit 1')
    events = Queue()
    launcher = ClusterLauncher(cluster._context, events, cluster)
    jobs = [replace(JOB, number=number) for number in range(2)]
    for job in jobs:
        launcher.start(job)
    while not (commands / "sbatch.tries").exists():
        time.sleep(0.01)
    write_command(commands, "sbatch", f"{TRIES}echo Submitted batch job 17")
    for job in jobs:
        launcher.stop(job.number, force=False)
    results = [events.get(timeout=slurm.CONTACT_PAUSES[0] / 2).result for _ in jobs]
    assert [(result.status, result.attempts) for result in results] == [("killed", 1)] * 2
    assert count_tries(commands) == 1
    launcher.close()
