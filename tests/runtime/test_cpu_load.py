"""Load of other processes: real processes, and control files of containers as Linux writes them."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from pipeline.runtime import cpu_load
from pipeline.runtime.cpu_load import SHORTEST_SECONDS, CpuLoadMeter
from pipeline.runtime.worker_count import count_available_cores

CORES = count_available_cores()


def work(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def test_a_busy_process_is_seen_and_the_own_work_is_not():
    meter, start = CpuLoadMeter(), (time.monotonic(), time.process_time())
    loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        work(1.0)
        load = meter.read()
    finally:
        loop.kill()
        loop.wait()
    own = (time.process_time() - start[1]) / (time.monotonic() - start[0])
    assert 0.3 < load.others <= CORES - own + 0.15


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the time that threads wait")
def test_waiting_threads_are_seen_where_there_are_more_busy_processes_than_cores():
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * CORES)]
    try:
        work(0.3)
        meter = CpuLoadMeter()
        work(1.0)
        load = meter.read()
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert load.waiting is not None
    assert load.waiting > 0.2


def test_a_second_reading_at_once_returns_the_same():
    meter = CpuLoadMeter()
    time.sleep(SHORTEST_SECONDS)
    assert meter.read() == meter.read()


@pytest.mark.parametrize(
    ("quota", "usage", "text"),
    [
        ({"cpu.max": "50000 100000"}, "cpu.stat", "usage_usec {0}000000\nuser_usec 1\n"),
        (
            {"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
            "cpuacct/cpuacct.usage",
            "{0}000000000\n",
        ),
    ],
)
def test_within_a_quota_the_other_processes_of_the_container_count(tmp_path, quota, usage, text):
    control = tmp_path / "fs/cgroup"
    for name, content in (quota | {usage: text.format(100)}).items():
        (control / name).parent.mkdir(parents=True, exist_ok=True)
        (control / name).write_text(content)
    meter, start = CpuLoadMeter(tmp_path), time.monotonic()
    (control / usage).write_text(text.format(200))
    time.sleep(SHORTEST_SECONDS)
    load = meter.read()
    assert load.others == pytest.approx(100 / (time.monotonic() - start), rel=0.2)


def test_processes_on_cores_beyond_the_quota_do_not_count(tmp_path):
    """With a quota of half a core on two cores, one core may be as busy as it likes."""
    control = tmp_path / "fs/cgroup"
    control.mkdir(parents=True)
    (control / "cpu.max").write_text("50000 100000")
    free, limited = CpuLoadMeter(), CpuLoadMeter(tmp_path)
    time.sleep(0.5)
    assert limited.read().others == pytest.approx(max(0.0, free.read().others - (CORES - 1)), abs=0.3)


def test_cpus_are_counted_that_have_higher_numbers_than_the_list_is_long(monkeypatch):
    """As in a container that shows its own CPUs only, or where each second CPU is switched off."""
    cpu, seconds = namedtuple("Times", ["user", "idle"]), iter([0.0, 1000.0])
    monkeypatch.setattr(cpu_load, "read_affinity", lambda: {4, 7})
    monkeypatch.setattr(cpu_load, "count_available_cores", lambda **_: 2)
    monkeypatch.setattr(cpu_load.psutil, "cpu_times", lambda **_: [cpu(next(seconds), 0.0), cpu(0.0, 1.0)])
    meter, start = CpuLoadMeter(), time.monotonic()
    time.sleep(SHORTEST_SECONDS)
    load = meter.read()
    assert load.others == pytest.approx(1000 / (time.monotonic() - start), rel=0.2)


def test_system_that_does_not_tell_its_load_has_none(monkeypatch):
    def fail(**_):
        raise PermissionError("/proc/stat")

    monkeypatch.setattr(cpu_load.psutil, "cpu_times", fail)
    meter = CpuLoadMeter()
    time.sleep(SHORTEST_SECONDS)
    assert meter.read().others == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the time that threads wait")
def test_too_many_open_files_do_not_end_the_measurement():
    limits, meter = resource.getrlimit(resource.RLIMIT_NOFILE), CpuLoadMeter()
    time.sleep(SHORTEST_SECONDS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        load = meter.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert load == (0.0, None)
