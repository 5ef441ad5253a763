"""Share out the CPU cores, GPUs and memory of a machine between the jobs of a sweep."""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pipeline.config.devices import list_devices
from pipeline.core.errors import UserError
from pipeline.runtime.memory import read_available_memory
from pipeline.runtime.worker_count import SYSTEM_FOLDER, count_available_cores, read_affinity
from pipeline.sweep.workers.resource_share import ResourceShare

MEMORY_RESERVE: Final = 0.1
"""The part of the available memory that no job is planned for."""
MIN_RESERVE_BYTES: Final = 1_000_000_000
_ASK_SECONDS: Final = 20


class Machine(NamedTuple):
    """What jobs can be given.

    Attributes:
        cores: The CPUs that this process may use, those of one physical core beside one another.
        usable: How many of them may be busy at once: a container's quota may be smaller. At least 1.
        physical: How many physical cores these are, at least 1.
        gpus: Names of GPUs for CUDA_VISIBLE_DEVICES: numbers, UUIDs or MIG instances.
        memory: Available bytes.
    """

    cores: tuple[int, ...]
    usable: int
    physical: int
    gpus: tuple[str, ...]
    memory: int


class ResourcePlan(NamedTuple):
    """The shares of all jobs that may run at once.

    Attributes:
        shares: One per job.
        notes: Sentences for the user.
    """

    shares: tuple[ResourceShare, ...]
    notes: tuple[str, ...] = ()


def plan_resources(jobs: int | Literal["auto"], machine: Machine, *, device: Any = None) -> ResourcePlan:
    """Share out a machine.

    With `auto`, one job per GPU; without GPUs one per physical core, since one thread per training makes the
    best use of a core (docs/performance.md).

    Args:
        jobs: sweep.jobs.
        machine: What there is.
        device: finetune.device. A job on `cpu` needs no GPU; the GPUs that it names are left to all jobs.

    Raises:
        UserError: There would be more jobs than cores.
    """
    names = list_devices(device)
    on_cpu = set(names) == {"cpu"}
    gpus = () if on_cpu or device is not None else machine.gpus
    if jobs == "auto":
        named = device is not None and not on_cpu and bool(machine.gpus)
        cores = max(1, machine.physical // max(1, len(names)))  # each device has a process of its own
        count = 1 if named else min(len(gpus) or cores, machine.usable)
    else:
        count = jobs
        _require_cores(count, machine)
    parts = share_cores(machine.cores[: machine.usable], count)
    shares = [
        ResourceShare(cores, gpus[place % len(gpus)] if gpus else None) for place, cores in enumerate(parts)
    ]
    return ResourcePlan(tuple(shares), tuple(_describe_sharing(count, gpus)))


def share_cores(cores: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    """Divide CPUs into so many parts, whose sizes differ by one at most; the larger ones come first.

    Args:
        cores: CPUs.
        parts: At most as many as there are CPUs.
    """
    size, larger = divmod(len(cores), parts)
    ends = [(place + 1) * size + min(place + 1, larger) for place in range(parts)]
    return [tuple(cores[end - size - (1 if place < larger else 0) : end]) for place, end in enumerate(ends)]


def count_jobs_in_memory(available: int, job: int) -> int:
    """Return how many jobs fit into the memory, at least 1.

    Args:
        available: Bytes, for all jobs together.
        job: Bytes that one job needs; 0 if that is not known.
    """
    reserve = max(MIN_RESERVE_BYTES, int(available * MEMORY_RESERVE))
    return 1 if job <= 0 else max(1, (available - reserve) // job)


def read_machine(system: Path = SYSTEM_FOLDER) -> Machine:
    """Return what this process may use; a container's limits count.

    Args:
        system: The folder of Linux's sysfs.
    """
    cores = sort_by_core(read_affinity(), system)
    usable = min(len(cores), count_available_cores(system=system))
    if usable < len(cores):
        # Under a quota, containers of one machine see the same CPUs: each starts at another one.
        start = zlib.crc32(f"{socket.gethostname()}-{os.getpid()}".encode()) % len(cores)
        cores = [*cores[start:], *cores[:start]]
    physical = count_available_cores(physical=True, system=system)
    return Machine(tuple(cores), usable, min(physical, usable), list_gpus(), read_available_memory())


def sort_by_core(cpus: Sequence[int] | Any, system: Path = SYSTEM_FOLDER) -> list[int]:
    """Sort CPUs so that those of one physical core (hyperthreads) are neighbours.

    Args:
        cpus: Numbers of CPUs.
        system: The folder of Linux's sysfs.
    """

    def find_core(cpu: int) -> tuple[int, int]:
        with suppress(OSError, ValueError):
            path = system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
            return int(path.read_text().replace("-", ",").split(",")[0]), cpu
        return cpu, cpu

    return sorted(cpus, key=find_core)


def list_gpus() -> tuple[str, ...]:
    """List the GPUs, or MIG instances, that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return parse_visible_devices(visible)
    if shutil.which("nvidia-smi") is None:
        return ()
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_ASK_SECONDS, check=True
        )
        return parse_gpu_list(done.stdout)
    return ()


def parse_visible_devices(text: str) -> tuple[str, ...]:
    """Return the devices in CUDA_VISIBLE_DEVICES; CUDA ignores those from the first invalid one on."""
    found: list[str] = []
    for name in (word.strip() for word in text.split(",")):
        if not name or name.startswith("-") or name.lower() in {"none", "void", "nodevfiles"}:
            break
        found.append(name)
    return tuple(found)


def parse_gpu_list(text: str) -> tuple[str, ...]:
    """Return the devices in the output of `nvidia-smi -L`: a GPU by its number, a MIG instance by its UUID.

    CUDA uses a divided GPU by its instances only.
    """
    found: list[str] = []
    number: str | None = None
    for line in text.splitlines():
        if line.startswith("GPU "):
            number = line.split(":", 1)[0].removeprefix("GPU ").strip()
            found.append(number)
        elif line.strip().startswith("MIG ") and "UUID: " in line:
            if found and found[-1] == number:
                found.pop()
            found.append(line.split("UUID: ", 1)[1].strip(" )"))
    return tuple(found)


def _require_cores(count: int, machine: Machine) -> None:
    if count > machine.usable:
        raise UserError(
            f"sweep.jobs={count} is more than the {machine.usable} CPU cores that this process may use, and "
            f"jobs would wait for one another: use sweep.jobs={machine.usable} at most, or sweep.jobs=auto"
        )


def _describe_sharing(count: int, gpus: Sequence[str]) -> list[str]:
    if not gpus or count <= len(gpus):
        return []
    most = math.ceil(count / len(gpus))
    return [
        f"{count} jobs share {len(gpus)} GPU{'s' * (len(gpus) > 1)} and their memory: up to {most} on each"
    ]
