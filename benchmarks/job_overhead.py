"""Measure what a job of a sweep costs beside its training, and how much sooner jobs at once end.

    python benchmarks/job_overhead.py [--jobs 4] [--rounds 3] [--part overhead|at_once]

overhead: sweeps of `--jobs` small trainings, one after the other, with today's `python -m pipeline.sweep` and
with that of the first edition (commit b19d802: each job was `dvc exp run --temp` with all stages), by turns.
The overhead of a job is its wall time without that of its epochs (`seconds` in reports/training.json). The
first job of each sweep also draws the images, and is left out of the medians.

at_once: a sweep of six trainings, one after the other and as many at once as there are cores, by turns.

Each sweep runs in a new clone of the project, so nothing is restored. `others` are the cores that other
programs used meanwhile.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import sweeps
from sweeps import Job, Spent

from pipeline.runtime.worker_count import count_available_cores

FIRST_EDITION = "b19d802"
SMOKE = ("+experiment=smoke",)
SMALL = (
    *SMOKE,
    "augment=none",
    "data.images=120",
    "data.split={train:80,val:20,test:20}",
    "data.pixels=128",
    "finetune.imgsz=128",
    "finetune.epochs=10",
)
"""Trainings of about ten seconds."""


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=4, help="of each sweep of the part overhead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("overhead", "at_once"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.part != "at_once":
            measure_overhead(Path(name), jobs=asked.jobs, rounds=asked.rounds)
        if asked.part != "overhead":
            measure_at_once(Path(name), rounds=asked.rounds)


def measure_overhead(place: Path, *, jobs: int, rounds: int) -> None:
    """Run both editions by turns, and print a table."""
    print(
        f"Sweeps of {jobs} jobs, one after the other; a job without its epochs, and the whole command:\n\n"
        "| round | | a job: overhead, s | its epochs, s | command, s | command, CPU s a job | others |\n"
        "|---|---|---|---|---|---|---|",
        flush=True,
    )
    found: dict[str, list[float]] = {"first edition": [], "today": []}
    for number in range(1, rounds + 1):
        for edition, overheads in found.items():
            spent, done = run_edition(edition, place / f"{edition.split()[0]}{number}", jobs)
            overheads.extend(job.seconds - job.epochs for job in done[1:])
            print(f"| {number} {format_row(edition, spent, done)}", flush=True)
    first, today = (statistics.median(overheads) for overheads in found.values())
    print(
        f"\noverhead of a job: first edition {first:.1f} s, today {today:.1f} s ({first / today:.1f} times)\n"
    )


def run_edition(edition: str, folder: Path, jobs: int) -> tuple[Spent, list[Job]]:
    """Run a sweep of an edition in a clone of its own."""
    words = [*SMOKE, build_axis(jobs)]
    log = folder.with_suffix(".log")
    if edition == "today":
        spent = sweeps.run_sweep(sweeps.create_clone(folder), [*words, "sweep.jobs=1"], log=log)
        return spent, sweeps.read_jobs(folder)
    spent = sweeps.run_sweep(sweeps.create_clone(folder, FIRST_EDITION), words, log=log)
    rows = [
        json.loads(file.read_text("utf-8")) for file in sorted(folder.glob(".finetrack/sweeps/*/*/job.json"))
    ]
    return spent, [Job(row["seconds"], sweeps.read_epoch_seconds(folder, row["experiment"])) for row in rows]


def build_axis(jobs: int) -> str:
    """Return an axis with so many learning rates."""
    return "finetune.lr0=" + ",".join(f"{0.001 + number / 10000:.4f}" for number in range(jobs))


def format_row(what: str, spent: Spent, jobs: list[Job]) -> str:
    """Return the cells of a row; medians of all jobs but the first."""
    overhead = statistics.median(job.seconds - job.epochs for job in jobs[1:])
    epochs = statistics.median(job.epochs for job in jobs[1:])
    each = spent.cpu / len(jobs)
    return f"| {what} | {overhead:.1f} | {epochs:.1f} | {spent.wall:.1f} | {each:.1f} | {spent.others:.2f} |"


def measure_at_once(place: Path, *, rounds: int) -> None:
    """Run six trainings one after the other, and at once; print a table."""
    cores = count_available_cores()
    print(
        "Six trainings:\n\n| round | jobs at once | command, s | CPU s | others | times sooner |\n"
        + "|---" * 6
        + "|"
    )
    ratios = []
    for number in range(1, rounds + 1):
        walls = []
        for at_once in (1, cores):
            clone = sweeps.create_clone(place / f"at_once{number}_{at_once}")
            words = [*SMALL, build_axis(6), f"sweep.jobs={at_once}"]
            spent = sweeps.run_sweep(clone, words, log=clone.with_suffix(".log"))
            walls.append(spent.wall)
            row = f"| {number} | {at_once} | {spent.wall:.1f} | {spent.cpu:.1f} | {spent.others:.2f} |"
            print(f"{row} {walls[0] / spent.wall:.2f} |", flush=True)
        ratios.append(walls[0] / walls[-1])
    print(f"\n{cores} at once: {statistics.median(ratios):.2f} times sooner (median)")


if __name__ == "__main__":
    main()
