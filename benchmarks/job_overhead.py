"""Measure what a job of a sweep costs beside its training: wall and CPU seconds.

    python benchmarks/job_overhead.py [ROUNDS]

A job is `dvc exp run --set-param seed=N finetune` in a clone of this project, with few small drawn images and
two epochs. It runs in processes of its own, and in forks of the fork servers that a sweep starts. The
overhead is the time of the job without that of its epochs (`seconds` in reports/training.json). At last, as
many jobs as there are cores run at once, each in a clone of its own; the ratio is the time that they take
one after the other, divided by the time at once.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import yaml

from pipeline.runtime.fork_server.messages import SERVER_KINDS, connect_to_server
from pipeline.runtime.fork_server.processes import ForkServer, start_fork_server
from pipeline.runtime.worker_count import count_available_cores, read_affinity

ROOT = Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a job took: wall seconds, those of its epochs, and CPU seconds of everything."""

    wall: float
    epochs: float
    cpu: float


def main() -> None:
    """Print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as name:
        cores = count_available_cores()
        clones = [create_clone(Path(name) / f"clone{number}") for number in range(cores)]
        environment = build_environment(Path(name), clones[0])
        prepare_clones(clones, environment)
        server = start_fork_server(Path(name) / "servers", code=clones[0], environment=environment)
        try:
            wait_for_servers(server)
            measure(clones, environment, server, rounds=rounds)
        finally:
            server.close()


def measure(clones: list[Path], environment: dict[str, str], server: ForkServer, *, rounds: int) -> None:
    """Run the jobs, and print medians."""
    print("| a job | wall, s | of these epochs, s | overhead, s | CPU, s |\n|---|---|---|---|---|")
    plain = ForkServer(Path(), [])
    for first, what, servers in ((100, "in processes of its own", plain), (200, "in forks", server)):
        costs = [run_job(clones[0], environment, servers, seed=first + round_) for round_ in range(rounds)]
        wall, epochs, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
        overhead = statistics.median(cost.wall - cost.epochs for cost in costs)
        print(f"| {what} | {wall:.1f} | {epochs:.1f} | {overhead:.1f} | {cpu:.1f} |", flush=True)
    print_ratio(clones, environment, server)


def print_ratio(clones: list[Path], environment: dict[str, str], server: ForkServer) -> None:
    """Run a job on each core at once, and as many one after the other with all cores."""
    cpus = sorted(read_affinity())
    begin = time.monotonic()
    for number in range(len(clones)):
        run_job(clones[0], environment, server, seed=500 + number)
    serial, begin = time.monotonic() - begin, time.monotonic()
    with ThreadPoolExecutor(len(clones)) as pool:
        started = [
            pool.submit(run_job, clone, environment, server, seed=600 + number, cpu=cpus[number])
            for number, clone in enumerate(clones)
        ]
        for job in started:
            job.result()
    at_once = time.monotonic() - begin
    times = f"{serial:.1f} s one after the other, {at_once:.1f} s at once"
    print(f"\n{len(clones)} jobs: {times}, {serial / at_once:.2f} times sooner")


def create_clone(folder: Path) -> Path:
    """Clone the project as it is committed, with the smoke experiment's values by default."""
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(folder)], check=True)
    smoke = yaml.safe_load((folder / "conf/experiment/smoke.yaml").read_text("utf-8"))
    demo = folder / "conf/data/demo.yaml"
    demo.write_text(yaml.safe_dump(yaml.safe_load(demo.read_text("utf-8")) | smoke.pop("data")), "utf-8")
    (folder / "conf/experiment/small.yaml").write_text(
        f"# @package _global_\n{yaml.safe_dump(smoke)}", "utf-8"
    )
    config = folder / "conf/config.yaml"
    config.write_text(
        config.read_text("utf-8").replace("- _self_", "- _self_\n  - experiment: small", 1), "utf-8"
    )
    return folder


def build_environment(place: Path, project: Path) -> dict[str, str]:
    """Return the variables of all jobs of a project: what is written stays below `place`."""
    who = {
        f"GIT_{role}_{what}": "b@example.org"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "FINETRACK_"))}
    folders = {
        f"DVC_{kind}_DIR": str(place / "dvc") for kind in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | who | folders | {"PATH": path, "FINETRACK_ROOT": str(project)}


def prepare_clones(clones: list[Path], environment: dict[str, str]) -> None:
    """Compute what the jobs share, and commit it."""
    for clone in clones:
        for command in (["dvc", "repro", "augment"], ["git", "add", "-A"], ["git", "commit", "-qm", "begin"]):
            words = [sys.executable, "-m", *command] if command[0] == "dvc" else command
            subprocess.run(words, cwd=clone, env=environment, check=True, capture_output=True)


def wait_for_servers(server: ForkServer) -> None:
    """Wait until the modules are imported: a sweep has them for all but its first jobs."""
    for kind in SERVER_KINDS if server.address else ():
        while (connection := connect_to_server(Path(server.address), kind)) is None:
            time.sleep(0.1)
        connection.close()


def run_job(
    clone: Path, environment: dict[str, str], server: ForkServer, *, seed: int, cpu: int | None = None
) -> Cost:
    """Run a job, and remove its experiment's results from the clone."""
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None and shutil.which("taskset") else []
    job = ["exp", "run", "--name", f"job{seed}", "--set-param", f"seed={seed}", "finetune"]
    before, begin = read_cpu_seconds(server), time.monotonic()
    done = subprocess.run(
        [*pinned, *server.build_command("dvc"), *job],
        cwd=clone,
        env=environment | ({"FINETRACK_FORK_SERVER": server.address} if server.address else {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        process_group=0,
    )
    wall, cpu_seconds = time.monotonic() - begin, read_cpu_seconds(server) - before
    if done.returncode:
        sys.exit(f"the job failed:\n{done.stdout}\n{done.stderr}")
    epochs = json.loads((clone / "reports/training.json").read_text("utf-8"))["seconds"]
    with (clone / "reports/training/epochs.csv").open(encoding="utf-8", newline="") as file:
        assert len([*csv.DictReader(file)]) == 2
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=clone, check=True)
    return Cost(wall, epochs, cpu_seconds)


def read_cpu_seconds(server: ForkServer) -> float:
    """Return the CPU seconds of all processes that have ended, those of forks included."""
    used = os.times()
    ended = [
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15] for pid in server.list_pids()
    ]
    return (
        used.children_user + used.children_system + sum(int(value) for row in ended for value in row) / TICKS
    )


if __name__ == "__main__":
    main()
