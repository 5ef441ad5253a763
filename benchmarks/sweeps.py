"""Run sweeps for the benchmarks: each in a clone of this project, with caches and settings of its own."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
PR_SET_CHILD_SUBREAPER = 36
IDLE_TIMES = frozenset({"idle", "iowait", "guest", "guest_nice"})


class Spent(NamedTuple):
    """What a command took: wall seconds, CPU seconds, and cores that other programs used meanwhile."""

    wall: float
    cpu: float
    others: float


class Job(NamedTuple):
    """A job of a sweep: wall seconds of the job, and of the epochs of its training."""

    seconds: float
    epochs: float


def create_clone(folder: Path, commit: str = "HEAD") -> Path:
    """Clone this project as it is committed, and return the clone's folder."""
    subprocess.run(["git", "clone", "-q", "--shared", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "-q", "--detach", commit], cwd=folder, check=True)
    return folder


def build_environment(clone: Path) -> dict[str, str]:
    """Return the variables of all commands in a clone: what they write stays below it."""
    scratch = clone / ".finetrack"
    who = {f"GIT_{role}_NAME": "benchmark" for role in ("AUTHOR", "COMMITTER")}
    who |= {f"GIT_{role}_EMAIL": "benchmark@example.org" for role in ("AUTHOR", "COMMITTER")}
    unset = ("DVC_", "FINETRACK_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    kinds = ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG")
    folders = {f"DVC_{kind}_DIR": str(scratch / "dvc" / kind.lower()) for kind in kinds}
    folders |= {"YOLO_CONFIG_DIR": str(scratch / "ultralytics"), "MPLCONFIGDIR": str(scratch / "matplotlib")}
    quiet = {"YOLO_AUTOINSTALL": "false", "DO_NOT_TRACK": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | who | folders | quiet | {"PATH": path}


def run_timed(command: Sequence[object], folder: Path, *, log: Path) -> Spent:
    """Run a command in a folder of a clone; time it with all processes that it starts.

    Orphans become children of this process, so that their CPU seconds count, too.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    used, busy, start = _read_child_seconds(), _read_busy_seconds(), time.perf_counter()
    with log.open("w") as file:
        words = [str(word) for word in command]
        code = subprocess.call(
            words,
            cwd=folder,
            env=build_environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    wall = time.perf_counter() - start
    _collect_orphans()
    cpu = _read_child_seconds() - used
    if code:
        sys.exit(f"{' '.join(words)} failed, see {log}")
    return Spent(wall, cpu, max(0.0, _read_busy_seconds() - busy - cpu) / wall)


def run_sweep(clone: Path, words: Sequence[str], *, log: Path) -> Spent:
    """Run `python -m pipeline.sweep -m` with these words in a clone."""
    return run_timed([sys.executable, "-m", "pipeline.sweep", "-m", *words], clone, log=log)


def read_jobs(clone: Path) -> list[Job]:
    """Read the jobs of the only sweep that ran in a clone."""
    (file,) = (clone / ".finetrack/sweeps").glob("*/results.json")
    rows = json.loads(file.read_text("utf-8"))["jobs"]
    return [Job(row["seconds"], read_epoch_seconds(clone, row["experiment"])) for row in rows]


def read_epoch_seconds(clone: Path, experiment: str) -> float:
    """Return the seconds of all epochs of the training of an experiment."""
    return float(read_experiment(clone, experiment, "reports/training.json")["seconds"])


def read_experiment(clone: Path, experiment: str, file: str) -> Any:
    """Return a JSON file of an experiment."""
    pattern = f"refs/exps/*/*/{experiment}"
    commit = _run_git(clone, "for-each-ref", "--format=%(objectname)", pattern).split()[0]
    return json.loads(_run_git(clone, "show", f"{commit}:{file}"))


def _run_git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def _collect_orphans() -> None:
    """Wait for processes that outlived the command."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _read_child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_busy_seconds() -> float:
    times = psutil.cpu_times()._asdict()
    return sum(seconds for name, seconds in times.items() if name not in IDLE_TIMES)
