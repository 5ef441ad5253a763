"""The jobs of a sweep: what came of each, which is best, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FIGURES: Final = ("mask/mAP50-95", "pose/mAP50-95", "mAP50-95", "top1")
"""What a job is judged by: the first of these that its task measures on val."""


@dataclass(frozen=True)
class Job:
    """One job of a sweep, when it is over.

    Args:
        number: Its place in the sweep, from 0.
        overrides: What it changed, such as `finetune.lr0=0.001`.
        experiment: The name of its DVC experiment.
        status: trained, restored (DVC had the result already) or failed.
        score: On the val split, 0..1; None where it failed.
        run_id: The MLflow run that made the weights; None where it failed or MLflow was away.
        reason: Why it failed.
        seconds: How long it took.
        figure: What the score is, such as mAP50-95; None where it failed.
    """

    number: int
    overrides: tuple[str, ...]
    experiment: str
    status: str
    score: float | None = None
    run_id: str | None = None
    reason: str | None = None
    seconds: float = 0.0
    figure: str | None = None


def judged(val: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the figure that a training is judged by, and its value; None where none of them was measured.

    Args:
        val: What its best epoch measured on val, as reports/training.json has it.
    """
    return next(((figure, val[figure]) for figure in FIGURES if figure in val), None)


def figure(jobs: Sequence[Job]) -> str:
    """Name the figure that jobs are judged by; several where they differ in their task."""
    return " or ".join(dict.fromkeys(job.figure for job in jobs if job.figure)) or FIGURES[2]


def failed(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that came to nothing."""
    return [job for job in jobs if job.status == "failed"]


def best(jobs: Sequence[Job]) -> Job | None:
    """Return the job with the highest score; of equals the first; None where all failed."""
    scored = [job for job in jobs if job.score is not None]
    return max(scored, key=lambda job: (job.score or 0.0, -job.number), default=None)


def changes(job: Job) -> dict[str, str]:
    """Return what each override sets its key to; `~KEY` takes it away."""
    found = {}
    for word in job.overrides:
        key, _, value = word.lstrip("+~").partition("=")
        found[key] = "(deleted)" if word.startswith("~") else value
    return found


def table(jobs: Sequence[Job]) -> str:
    """Write a line per job, the best first, what failed last."""
    order = sorted(jobs, key=lambda job: (job.score is None, -(job.score or 0.0), job.number))
    rows = [("job", f"val {figure(jobs)}", "status", "experiment", "overrides"), *map(_row, order)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(job: Job) -> tuple[str, ...]:
    score = "-" if job.score is None else f"{job.score:.4f}"
    words = " ".join(job.overrides) or "(as conf/ says)"
    return (
        str(job.number),
        score,
        job.status,
        job.experiment,
        words + (f": {job.reason}" if job.reason else ""),
    )
