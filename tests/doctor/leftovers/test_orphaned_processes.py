"""Stages without their DVC: families of processes as a table, and one real orphan."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.doctor.leftovers.orphaned_processes import check_orphaned_processes, find_orphans
from pipeline.doctor.leftovers.project_processes import (
    ProjectProcess,
    find_stage,
    is_dvc,
    is_sweep,
    list_project_processes,
)

STAGE = ["python", "-m", "pipeline", "finetune"]
SHELL = ["/bin/sh", "-c", "python -m pipeline finetune"]
DVC = ["python", "-m", "dvc", "repro"]
WORKER = ["python", "-c", "from multiprocessing.spawn import spawn_main"]


def process(pid, parent, words, *ancestors: list[str], of_dvc=True):
    return ProjectProcess(pid, parent, 0.0, words, Path("/p"), of_dvc, ancestors)


@pytest.mark.parametrize(
    ("family", "orphans"),
    [
        ([process(2, 1, SHELL, DVC), process(3, 2, STAGE, SHELL, DVC)], []),
        ([process(2, 1, SHELL, ["init"]), process(3, 2, STAGE, SHELL, ["init"])], [3]),
        ([process(3, 1, STAGE, ["init"]), process(4, 3, STAGE, STAGE, ["init"])], [3]),
        ([process(4, 1, WORKER, ["init"])], [4]),
        ([process(3, 1, STAGE, ["python", "-m", "pipeline.sweep", "-m"])], []),
        ([process(3, 1, STAGE, ["bash"], of_dvc=False)], []),
    ],
)
def test_stages_whose_dvc_has_ended_are_orphans(family, orphans):
    assert [found.pid for found in find_orphans(family)] == orphans


def test_a_sweep_that_runs_is_named(project):
    vars(project)["processes"] = [process(3, 1, ["python", "-m", "pipeline.sweep", "-m"], of_dvc=False)]
    [found] = check_orphaned_processes(project)
    assert (found.state, found.seen) == ("ok", "a sweep runs; no stage runs; none without its DVC")


@pytest.mark.parametrize(
    ("words", "dvc", "sweep", "stage"),
    [
        (["python", "-m", "dvc", "repro"], True, False, None),
        (["/v/bin/python", "/v/bin/dvc", "exp", "run"], True, False, None),
        (["python", "-m", "pipeline.sweep", "-m"], False, True, None),
        (["python", "/p/pipeline/sweep/workers/guard.py", "3"], False, True, None),
        (["python", "-m", "pipeline", "evaluate"], False, False, "evaluate"),
        (["python", "-m", "pipeline", "runs"], False, False, None),
        (["vim", "notes/dvc"], False, False, None),
        (["git", "commit", "-m", "dvc"], False, False, None),
    ],
)
def test_commands_are_known_by_their_words(words, dvc, sweep, stage):
    assert (is_dvc(words), is_sweep(words), find_stage(words)) == (dvc, sweep, stage)


@pytest.mark.fault(13, "a stage goes on after its dvc was killed")
def test_a_real_orphan_is_found_and_left_alone(project):
    (project.root / "pipeline.py").write_text("import time\ntime.sleep(60)\n")
    command = f"{sys.executable} -S -m pipeline finetune >/dev/null & echo $!"
    environment = os.environ | {"DVC_STAGE": "finetune", "DVC_ROOT": str(project.root)}
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=project.root, env=environment, stdout=subprocess.PIPE
    )
    pid = int(done.stdout)
    try:
        for _ in range(100):
            if any(found.stage for found in list_project_processes(project.root)):
                break
            time.sleep(0.02)
        [found] = check_orphaned_processes(project)
        assert (found.state, str(pid) in found.seen, found.repair) == ("warning", True, None)
        assert psutil.pid_exists(pid)
    finally:
        os.kill(pid, 9)


def test_without_processes_all_is_well(project, states):
    assert states(check_orphaned_processes(project)) == ["ok"]
