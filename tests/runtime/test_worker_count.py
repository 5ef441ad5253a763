"""CPU cores within affinity and container quota: real affinity, and sysfs files as Linux writes them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.worker_count import choose_worker_count, count_available_cores

ROOT = Path(__file__).parents[2]
AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
COUNT_ON = """
import os, sys
from pathlib import Path
from pipeline.runtime.worker_count import count_available_cores
os.sched_setaffinity(0, {int(number) for number in sys.argv[1].split(",")})
system = Path(sys.argv[2])
print(count_available_cores(system=system), count_available_cores(physical=True, system=system))
"""
"""Prints logical and physical cores under an affinity."""


def write_quota(system: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = system / "fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return system


def write_topology(system: Path, siblings: dict[int, str]) -> Path:
    for cpu, text in siblings.items():
        path = system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return system


def quota_v1(quota: int) -> dict[str, str]:
    return {"cpu/cpu.cfs_quota_us": f"{quota}\n", "cpu/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 64),
        ({"cpu.max": "\n"}, math.inf),
        (quota_v1(-1), math.inf),
        (quota_v1(50000), 1),
        (quota_v1(200000), 2),
        ({"cpu.max": "max 100000\n", **quota_v1(-1)}, math.inf),
    ],
)
@pytest.mark.parametrize("physical", [False, True])
def test_the_quota_of_a_container_counts_rounded_up(tmp_path, files, quota, physical):
    system = write_quota(tmp_path, files)
    write_topology(system, {cpu: f"{cpu}\n" for cpu in range(os.cpu_count() or 1)})
    assert count_available_cores(physical=physical, system=system) == min(AFFINITY, quota)


@pytest.mark.skipif(AFFINITY < 2 or not hasattr(os, "sched_setaffinity"), reason="needs 2 CPUs with affinity")
@pytest.mark.parametrize(
    ("number", "siblings", "files", "expected"),
    [
        (1, "{cpu}", {}, "1 1"),
        (2, "{cpu}", {}, "2 2"),
        (2, "0-1", {}, "2 1"),
        (1, "0-1", {}, "1 1"),
        (2, "{cpu}", {"cpu.max": "100000 100000"}, "1 1"),
        (1, "{cpu}", {"cpu.max": "400000 100000"}, "1 1"),
        (2, "0-1", {"cpu.max": "400000 100000"}, "2 1"),
    ],
)
def test_affinity_hyperthreads_and_quota(tmp_path, number, siblings, files, expected):
    cpus = sorted(os.sched_getaffinity(0))[:number]
    system = write_quota(write_topology(tmp_path, {cpu: siblings.format(cpu=cpu) for cpu in cpus}), files)
    command = [sys.executable, "-c", COUNT_ON, ",".join(map(str, cpus)), str(system)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        == f"{expected}\n"
    )


def test_without_sysfs_at_least_one_core_is_found(tmp_path):
    assert 1 <= count_available_cores(physical=True, system=tmp_path) <= AFFINITY


@pytest.mark.parametrize(
    ("requested", "limit", "expected"),
    [(0, None, count_available_cores()), (0, 1, 1), (3, None, 3), (30, 8, 8), (3, 8, 3)],
)
def test_workers_are_those_asked_for_or_one_per_core(requested, limit, expected):
    assert choose_worker_count(requested, limit=limit) == expected
