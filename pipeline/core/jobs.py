"""The jobs of a sweep: what came of each, which is best, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One job of a sweep, when it is over.

    Args:
        number: Its place in the sweep, from 0.
        overrides: What it changed, such as `finetune.lr0=0.001`.
        experiment: The name of its DVC experiment.
        status: trained, restored (DVC had the result already) or failed.
        score: mAP50-95 on the val split, 0..1; None where it failed.
        run_id: The MLflow run that made the weights; None where it failed or MLflow was away.
        reason: Why it failed.
        seconds: How long it took.
    """

    number: int
    overrides: tuple[str, ...]
    experiment: str
    status: str
    score: float | None = None
    run_id: str | None = None
    reason: str | None = None
    seconds: float = 0.0


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
    rows = [("job", "val mAP50-95", "status", "experiment", "overrides"), *map(_row, order)]
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
