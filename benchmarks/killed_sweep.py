"""Run a real sweep that is killed twice and goes on, and compare its winner with the default strategy.

The first kill is a SIGKILL of every process of the sweep, the second one Ctrl-C. Then winner and default are
trained with three seeds each, and scored on test.

    python benchmarks/killed_sweep.py --bccd BCCD --weights WEIGHTS --folder FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
NAME = "killed"
SPACE = (
    "finetune=full,head,gradual",
    "finetune.lr0=tag(log, interval(3e-4, 1e-2))",
    "augment=none,light",
    "augment.online.scale=interval(0.1, 0.6)",
)
SETTINGS = (f"sweep.name={NAME}", "sweep.jobs=2", "sweep.pruner=median", "sweep.pruner_warmup=2")


def main() -> None:
    """Run the sweep, and print what came out of each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bccd", type=Path, required=True, help="folder of the BCCD dataset (Pascal VOC)")
    parser.add_argument("--weights", type=Path, required=True, help="folder that holds yolov8n.pt")
    parser.add_argument("--folder", type=Path, required=True, help="a new folder for the project's clone")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kill", type=float, nargs=2, default=(240.0, 240.0), help="seconds until each kill")
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    create_project(asked.folder)
    fixed = [
        *("data=voc", f"data.source={asked.bccd.resolve()}", "data.keep_split=false", "model=yolov8n"),
        *(f"model.folder={asked.weights.resolve()}", "finetune.imgsz=320"),
        f"finetune.epochs={asked.epochs}",
    ]
    words = [*fixed, *SPACE, *SETTINGS, f"sweep.trials={asked.trials}"]
    for seconds, name in zip(asked.kill, ("SIGKILL", "SIGINT"), strict=True):
        print(f"-- {name} after {seconds:g} s", flush=True)
        run_sweep(asked.folder, words, stop=(seconds, name))
        print(f"   {describe_jobs(asked.folder, NAME)}", flush=True)
    print("-- to the end", flush=True)
    run_sweep(asked.folder, words)
    print(f"   {describe_jobs(asked.folder, NAME)}", flush=True)
    compare(asked.folder, fixed)


def create_project(folder: Path) -> None:
    """Clone the project as it is committed."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)


def build_environment(folder: Path) -> dict[str, str]:
    """Return an environment in which nothing is written outside of the folder."""
    scratch = folder.resolve() / ".finetrack"
    dvc = {f"DVC_{name}_DIR": str(scratch / "dvc" / name) for name in ("SITE_CACHE", "GLOBAL_CONFIG")}
    git = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FINETRACK_")}
    return {**kept, **dvc, **git, "PATH": path}


def run_sweep(folder: Path, words: Sequence[str], *, stop: tuple[float, str] | None = None) -> None:
    """Run a sweep to its end, or until it is stopped.

    Args:
        folder: The project's.
        words: Of the command.
        stop: After how many seconds, and by which signal; SIGKILL goes to every process of the folder.
    """
    command = [sys.executable, "-m", "pipeline.sweep", "-m", *words]
    print(f"   $ finetrack sweep {shlex.join(words)}", flush=True)
    sweep = subprocess.Popen(command, cwd=folder, env=build_environment(folder), start_new_session=True)
    try:
        sweep.wait(stop[0] if stop else None)
    except subprocess.TimeoutExpired:
        if stop and stop[1] == "SIGKILL":
            kill_processes(folder)
        else:
            sweep.send_signal(signal.SIGINT)
    print(f"   exit code {sweep.wait()}", flush=True)


def kill_processes(folder: Path) -> None:
    """Kill every process that works in a folder."""
    place = folder.resolve()
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(place):
                process.kill()
        except psutil.Error:
            continue
    time.sleep(1.0)


def read_results(folder: Path, name: str) -> dict[str, Any]:
    """Read results.json of a sweep."""
    return dict(json.loads((folder / f".finetrack/sweeps/{name}/results.json").read_text("utf-8")))


def describe_jobs(folder: Path, name: str) -> str:
    """Count the jobs of a sweep by status."""
    try:
        rows = read_results(folder, name)["jobs"]
    except FileNotFoundError:
        return "no job has ended"
    statuses = sorted({row["status"] for row in rows})
    return ", ".join(f"{sum(row['status'] == status for row in rows)} {status}" for status in statuses)


def compare(folder: Path, fixed: Sequence[str]) -> None:
    """Train the best points and the default with three seeds, and score each on test."""
    results = read_results(folder, NAME)
    best = results["best"][0]
    print(f"-- the winner: {best['what differs']}, val {best['mean']:.4f}", flush=True)
    candidates = {"winner": best["overrides"], "default": [*fixed, "augment=light"]}
    if best["point"] == 0:  # the search begins with the configuration itself
        rows = [row for row in results["jobs"] if row["status"] == "trained" and row["point"]]
        second = max(rows, key=lambda row: row["score"])
        candidates = {"default": best["overrides"], "second": shlex.split(second["overrides"])}
        print(f"-- which is the default; the second: {second['what differs']}, {second['score']:.4f}")
    for name, overrides in candidates.items():
        run_sweep(folder, [*overrides, "seed=0,1,2", "sweep.test=true", f"sweep.name={name}"])
        print(f"-- {name}: {describe_test(folder, name)}", flush=True)


def describe_test(folder: Path, name: str) -> str:
    """Describe the test scores of all jobs of a sweep, with their intervals."""
    scores = []
    for row in read_results(folder, name)["jobs"]:
        shown = subprocess.run(
            ["git", "show", f"{find_commit(folder, row['experiment'])}:reports/metrics.json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        scores.append(json.loads(shown.stdout)["test"])
    values = [score["mAP50-95"] for score in scores]
    each = "; ".join(
        f"{score['mAP50-95']:.3f} ({score['mAP50-95_low']:.3f} to {score['mAP50-95_high']:.3f})"
        for score in scores
    )
    return f"test mAP50-95 mean {mean(values):.4f}, std {stdev(values):.4f}: {each}"


def find_commit(folder: Path, experiment: str) -> str:
    """Return the commit of an experiment."""
    command = ["git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{experiment}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.split()[0]


if __name__ == "__main__":
    main()
