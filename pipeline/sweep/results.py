"""The jobs of a sweep: what came of each, which is best, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

FIGURES: Final = ("mask/mAP50-95", "pose/mAP50-95", "mAP50-95", "top1")
"""What a job is judged by: the first of these that its task measures on val."""


@dataclass(frozen=True)
class SweepJob:
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
        task: What was learnt, such as detect; None where it failed.
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
    task: str | None = None


def judged(val: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the figure that a training is judged by, and its value; None where none of them was measured.

    Args:
        val: What its best epoch measured on val, as reports/training.json has it.
    """
    return next(((figure, val[figure]) for figure in FIGURES if figure in val), None)


def kind(job: SweepJob) -> str:
    """Name the task and the figure that a job is judged by: scores of one kind alone can be compared."""
    return " ".join(word for word in (job.task, job.figure) if word)


def _kinds(jobs: Sequence[SweepJob]) -> list[str]:
    """Name what jobs are judged by, each once, in the order in which they come."""
    return list(dict.fromkeys(kind(job) for job in jobs if job.score is not None))


def failed(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Return the jobs that came to nothing."""
    return [job for job in jobs if job.status == "failed"]


def best(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Return the job with the highest score of each kind; of equals the first; none where all failed."""
    found: dict[str, SweepJob] = {}
    for job in _ordered(jobs):
        if job.score is not None:
            found.setdefault(kind(job), job)
    return list(found.values())


def changes(job: SweepJob) -> dict[str, str]:
    """Return what each override sets its key to; `~KEY` takes it away."""
    found = {}
    for word in job.overrides:
        key, _, value = word.lstrip("+~").partition("=")
        found[key] = "(deleted)" if word.startswith("~") else value
    return found


def table(jobs: Sequence[SweepJob]) -> str:
    """Write a line per job, the best of a kind first, what failed last."""
    several = len(_kinds(jobs)) > 1
    figure = next((job.figure for job in jobs if job.figure), FIGURES[2])
    head = ("job", "val" if several else f"val {figure}", "status", "experiment", "overrides")
    rows = [head, *(_row(job, named=several) for job in _ordered(jobs))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _ordered(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Put jobs of a kind together, the best first, and what failed last."""
    places = {name: place for place, name in enumerate(_kinds(jobs))}

    def rank(job: SweepJob) -> tuple[int, float, int]:
        return len(places) if job.score is None else places[kind(job)], -(job.score or 0.0), job.number

    return sorted(jobs, key=rank)


def _row(job: SweepJob, *, named: bool) -> tuple[str, ...]:
    score = "-" if job.score is None else f"{job.score:.4f}"
    words = " ".join(job.overrides) or "(as conf/ says)"
    return (
        str(job.number),
        f"{kind(job)} {score}".strip() if named else score,
        job.status,
        job.experiment,
        words + (f": {job.reason}" if job.reason else ""),
    )
