"""Jobs of a sweep by submitit, whose local jobs are processes of this machine."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from queue import Queue

import psutil
import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.launchers.cluster import ClusterLauncher
from pipeline.sweep.launchers.slurm import SlurmCluster
from pipeline.sweep.settings import SweepSettings
from tests.e2e.cluster_sweeps import (
    build_context,
    build_job,
    user_environment,
    wait_at_each_job,
    wait_for_file,
    wait_for_results,
)
from tests.e2e.conftest import ROOT, Project  # noqa: F401 - of the script

SETTINGS = SweepSettings(launcher="slurm", slurm={"cluster": "local", "timeout_min": 5})
WAITING = ".finetrack/waiting-0.01"


@pytest.fixture
def start(tiny):
    """Return a function that opens a launcher in the project, with its queue."""
    opened = []

    def open_launcher():
        context, events = build_context(tiny), Queue()
        opened.append(ClusterLauncher(context, events, SlurmCluster(context, SETTINGS)))
        return opened[-1], events

    with user_environment(tiny):
        yield open_launcher
        for launcher in opened:
            launcher.close()


def kill(numbers) -> None:
    """Kill processes and all that they started, the first ones first."""
    for number in numbers:
        first = psutil.Process(number)
        for process in [first, *first.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with the one before
                process.kill()


@pytest.mark.fault(14, "a node of Slurm dies in the middle of a job")
@pytest.mark.slow
def test_a_slurm_job_that_is_killed_runs_again(tiny, start):
    wait_at_each_job(tiny)
    launcher, events = start()
    launcher.start(build_job(0, "seed=99", "finetune.lr0=0.01"))
    wait_for_file(tiny.folder / WAITING)
    (record,) = json.loads((tiny.folder / ".finetrack/sweeps/try/slurm.json").read_text()).values()
    kill([int(record["id"])])
    (tiny.folder / ".finetrack/go-on").touch()
    result = wait_for_results(events, [0])[0]
    assert (result.status, result.attempts, result.score) == ("trained", 2, pytest.approx(0.1))
    assert json.loads((tiny.folder / ".finetrack/sweeps/try/slurm.json").read_text()) == {}


@pytest.mark.slow
@pytest.mark.fault(14, "SIGKILL of a sweep whose jobs run on Slurm")
def test_a_sweep_that_died_finds_its_running_job_and_stops_it(tiny, start):
    wait_at_each_job(tiny)
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, str(tiny.folder)], cwd=ROOT)
    stage = int(wait_for_file(tiny.folder / WAITING))
    sweep.kill()
    assert sweep.wait(10) == -signal.SIGKILL
    launcher, events = start()
    launcher.start(build_job(0, "seed=99", "finetune.lr0=0.01"))
    assert psutil.pid_exists(stage)
    assert len(list((tiny.folder / ".finetrack/sweeps/try/jobs/0000").glob("slurm-*.jsonl"))) == 1
    launcher.stop(0, force=False)
    result = wait_for_results(events, [0])[0]
    assert (result.status, result.attempts) == ("killed", 1)
    assert not psutil.pid_exists(stage)


SWEEP = """
import sys, time
from pathlib import Path
from queue import Queue
from tests.e2e import test_sweep_on_slurm as own
project = own.Project(Path(sys.argv[1]))
with own.user_environment(project):
    context = own.build_context(project)
    launcher = own.ClusterLauncher(context, Queue(), own.SlurmCluster(context, own.SETTINGS))
    launcher.start(own.build_job(0, "seed=99", "finetune.lr0=0.01"))
    time.sleep(600)
"""


def test_without_slurm_or_submitit_the_sentence_says_what_to_do(tiny, monkeypatch):
    context = build_context(tiny)
    monkeypatch.setenv("PATH", str(tiny.folder))
    with pytest.raises(UserError, match=r"cannot submit jobs from this machine.*sweep.launcher=local"):
        SlurmCluster(context, SweepSettings(launcher="slurm"))
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(UserError, match="make setup"):
        SlurmCluster(context, SweepSettings(launcher="slurm"))
