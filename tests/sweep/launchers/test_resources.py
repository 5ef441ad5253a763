"""What each of several jobs gets of a machine."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.launchers.memory_use import MemoryUse
from pipeline.sweep.launchers.resources import (
    Machine,
    count_jobs_in_memory,
    parse_gpu_list,
    parse_visible_devices,
    plan_resources,
    share_cores,
    sort_by_core,
)

GB = 10**9


def build_machine(cores: int, *, usable: int = 0, physical: int = 0, gpus: tuple[str, ...] = ()) -> Machine:
    return Machine(tuple(range(cores)), usable or cores, physical or usable or cores, gpus, 24 * GB)


@pytest.mark.parametrize(
    ("cores", "parts", "expected"),
    [
        (8, 3, [(0, 1, 2), (3, 4, 5), (6, 7)]),
        (2, 2, [(0,), (1,)]),
        (4, 1, [(0, 1, 2, 3)]),
        (5, 4, [(0, 1), (2,), (3,), (4,)]),
    ],
)
def test_cores_are_divided_evenly_and_each_belongs_to_one_job(cores, parts, expected):
    assert share_cores(range(cores), parts) == expected


@pytest.mark.parametrize(
    ("machine", "jobs", "device", "expected"),
    [
        (build_machine(8), 3, None, [(3, None), (3, None), (2, None)]),
        (build_machine(2), "auto", None, [(1, None), (1, None)]),
        (build_machine(8, physical=4), "auto", None, [(2, None)] * 4),
        (build_machine(8, usable=2), "auto", None, [(1, None), (1, None)]),
        (build_machine(16, gpus=("0", "1")), "auto", None, [(8, "0"), (8, "1")]),
        (build_machine(16, gpus=("0", "1")), 4, None, [(4, "0"), (4, "1"), (4, "0"), (4, "1")]),
        (build_machine(4, gpus=("MIG-a", "GPU-b")), "auto", None, [(2, "MIG-a"), (2, "GPU-b")]),
        (build_machine(4, gpus=("0", "1")), "auto", "cpu", [(1, None)] * 4),
        (build_machine(4, gpus=("0", "1")), "auto", [0, 1], [(4, None)]),
        (build_machine(4, gpus=("0", "1")), 2, 0, [(2, None), (2, None)]),
        (build_machine(4), "auto", 0, [(1, None)] * 4),
        (build_machine(4), "auto", ["cpu", "cpu"], [(2, None)] * 2),
        (build_machine(2, gpus=("0",)), "auto", "cpu,cpu,cpu", [(2, None)]),
    ],
)
def test_each_job_gets_its_cores_and_a_gpu(machine, jobs, device, expected):
    shares = plan_resources(jobs, machine, device=device).shares
    assert [(len(share.cores), share.gpu) for share in shares] == expected
    used = [core for share in shares for core in share.cores]
    assert len(used) == len(set(used)) <= machine.usable


@pytest.mark.parametrize(
    ("cores", "asked", "expected"), [(1, None, "1"), (1, "8", "1"), (3, "8", "3"), (3, "2", "2")]
)
def test_a_share_limits_libraries_to_it(monkeypatch, cores, asked, expected):
    set_threads(monkeypatch, asked)
    share = plan_resources(1, build_machine(cores, gpus=("GPU-b",))).shares[0]
    assert share.environment == {"OMP_NUM_THREADS": expected, "CUDA_VISIBLE_DEVICES": "GPU-b"}
    assert "CUDA_VISIBLE_DEVICES" not in plan_resources(1, build_machine(3)).shares[0].environment


def test_a_job_with_several_cores_uses_fewer_threads_while_other_programs_use_them(monkeypatch):
    set_threads(monkeypatch, None)
    assert plan_resources(1, build_machine(3)).shares[0].environment == {}


def set_threads(monkeypatch, number):
    """Set the user's OMP_NUM_THREADS; None: not set."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if number is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", number)


@pytest.mark.fault(14, "more jobs than cores")
@pytest.mark.parametrize("machine", [build_machine(2), build_machine(8, usable=2)])
def test_more_jobs_than_cores_are_refused(machine):
    with pytest.raises(UserError, match=r"sweep\.jobs=3 is more than the 2 CPU cores"):
        plan_resources(3, machine)


def test_shared_gpus_are_said():
    assert plan_resources(3, build_machine(4, gpus=("0", "1"))).notes
    assert not plan_resources(2, build_machine(4, gpus=("0", "1"))).notes


@pytest.mark.parametrize(
    ("available", "job", "expected"),
    [(24 * GB, 5 * GB, 4), (24 * GB, 30 * GB, 1), (24 * GB, 0, 1), (4 * GB, 1 * GB, 3), (0, GB, 1)],
)
def test_jobs_fit_into_the_memory_with_a_reserve(available, job, expected):
    assert count_jobs_in_memory(available, job) == expected


def test_one_job_runs_alone_until_its_memory_has_settled():
    use = MemoryUse(24 * GB, limits=True)
    for second, peak in enumerate([1, 2, 3, 4, 4, 4, 4, 4]):
        use.note_training(0, peak * GB, second)
        assert use.count_fitting_jobs() == 1
    use.note_training(0, 4 * GB, 8.1)
    assert use.count_fitting_jobs() == 4  # 5 GB each
    use.note_end(8 * GB)
    assert use.count_fitting_jobs() == 2
    assert MemoryUse(GB, limits=False).count_fitting_jobs() > 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,1", ("0", "1")),
        ("GPU-8932, MIG-1a", ("GPU-8932", "MIG-1a")),
        ("", ()),
        ("-1", ()),
        ("1,-1,2", ("1",)),
        ("NoDevFiles", ()),
    ],
)
def test_visible_devices_keep_their_names(text, expected):
    assert parse_visible_devices(text) == expected


def test_a_divided_gpu_is_used_by_its_instances():
    listed = (
        "GPU 0: NVIDIA A100 (UUID: GPU-aa)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-11)\n"
        "  MIG 3g.20gb     Device  1: (UUID: MIG-22)\n"
        "GPU 1: NVIDIA A100 (UUID: GPU-bb)\n"
    )
    assert parse_gpu_list(listed) == ("MIG-11", "MIG-22", "1")


def test_hyperthreads_of_a_core_are_neighbours(tmp_path):
    for cpu in range(4):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 2},{cpu % 2 + 2}\n")
    assert sort_by_core({0, 1, 2, 3}, tmp_path) == [0, 2, 1, 3]
    assert sort_by_core({3, 1}, tmp_path / "absent") == [1, 3]
