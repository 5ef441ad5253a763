"""Compare a `dvc repro` with nothing to do with DVC's own time for the same pipeline.

    python benchmarks/noop.py [ROUNDS]

Both run in turn in one copy of this project: `dvc repro` with dvc.yaml, and without its compose stage.
Outputs of the later stages are placeholders, since nothing runs; dependencies, params and code files are the
real ones.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PARTS = (
    ".dvc/config",
    ".dvcignore",
    ".gitignore",
    "conf",
    "pipeline",
    "models/foundation",
    "params.yaml",
    "compose.lock.json",
)
FOLDERS = {
    "data/prepared",
    "data/columns",
    "data/augmented",
    "models/finetuned",
    "reports/training",
    "reports/evaluation",
}


def environment() -> dict[str, str]:
    """Put the programs of this interpreter first on PATH, as `make` does."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def build(folder: Path, dvc: dict[str, Any]) -> None:
    """Copy the project, with placeholders for the outputs of the stages."""
    for part in PARTS:
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
    (folder / ".dvc/tmp").mkdir()
    for place in FOLDERS:
        (folder / place).mkdir(parents=True)
        for number in range(100):
            (folder / place / f"{number}.txt").write_text(f"{place} {number}")
    for metrics in ("reports/training.json", "reports/metrics.json"):
        (folder / metrics).write_text("{}")
    (folder / "reports/splits.json").write_text('[{"terms": {}, "folds": null, "sides": {}}]')
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    write(folder, dvc, compose=True)
    for command in (["repro", "--quiet", "compose"], ["commit", "--quiet", "--force"]):
        subprocess.run(["dvc", *command], cwd=folder, env=environment(), check=True)


def write(folder: Path, dvc: dict[str, Any], *, compose: bool) -> None:
    """Write dvc.yaml with the compose stage or without it."""
    stages = {name: stage for name, stage in dvc["stages"].items() if compose or name != "compose"}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))


def repro(folder: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of one `dvc repro`."""
    start, used = time.perf_counter(), processor()
    done = subprocess.run(
        ["dvc", "repro"], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start, processor() - used
    if done.returncode or "python -m pipeline prepare" in done.stdout:
        sys.exit(f"this was no run with nothing to do:\n{done.stdout}{done.stderr}")
    return seconds


def processor() -> float:
    """Return the CPU seconds of all commands so far: comparable on a busy machine."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(rounds: int) -> dict[bool, list[tuple[float, float]]]:
    """Time both in turn, so that a busy machine slows both alike."""
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    seconds: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, dvc)
        for number in range(rounds + 1):
            for compose in (False, True):
                write(folder, dvc, compose=compose)
                took = repro(folder)
                if number:  # the first round fills caches
                    seconds[compose].append(took)
    return seconds


if __name__ == "__main__":
    found = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    for index, what in enumerate(("wall", "CPU")):
        ours, bare = (statistics.median(took[index] for took in found[compose]) for compose in (True, False))
        print(f"{what} seconds: {ours:.3f}, without compose {bare:.3f}, ratio {ours / bare:.2f}")
