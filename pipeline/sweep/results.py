"""Results of sweep jobs: their scores, the best job, a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.metric_names import MAIN_METRICS, get_main_metric


@dataclass(frozen=True)
class SweepJob:
    """One finished job of a sweep.

    Args:
        number: Its place in the sweep, from 0.
        overrides: What it changed, such as `finetune.lr0=0.001`.
        experiment: The name of its DVC experiment.
        status: trained, restored (DVC had the result already) or failed.
        score: On the val split, 0 to 1; None if it failed.
        run_id: The MLflow run that made the weights; None if it failed or MLflow did not answer.
        reason: Why it failed.
        seconds: How long it took.
        figure: The metric of the score, such as mAP50-95; None if it failed.
        task: The task, such as detect; None if it failed.
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


def select_main_metric(val: Mapping[str, float]) -> tuple[str, float] | None:
    """Return the name and value of the metric that ranks a training; None if none was measured.

    Args:
        val: The metrics of its best epoch on val, as in reports/training.json.
    """
    return next(((figure, val[figure]) for figure in MAIN_METRICS if figure in val), None)


def describe_metric(job: SweepJob) -> str:
    """Return task and metric of a job, such as `detect mAP50-95`; only scores of one kind can be compared."""
    return " ".join(word for word in (job.task, job.figure) if word)


def _list_kinds(jobs: Sequence[SweepJob]) -> list[str]:
    """List the kinds of scores, each once, in order of appearance."""
    return list(dict.fromkeys(describe_metric(job) for job in jobs if job.score is not None))


def list_failed_jobs(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Return the failed jobs."""
    return [job for job in jobs if job.status == "failed"]


def select_best_jobs(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Return the job with the highest score of each kind, the first of equals.

    None if all failed, or if several jobs share one training.
    """
    found: dict[str, list[SweepJob]] = {}
    for job in _sort_jobs(jobs):
        if job.score is not None:
            found.setdefault(describe_metric(job), []).append(job)
    return [same[0] for same in found.values() if len(same) == 1 or not _share_training(same)]


def group_equal_jobs(jobs: Sequence[SweepJob]) -> list[list[SweepJob]]:
    """Group the jobs that share one training: DVC restored it, since what differs changed no input of it."""
    found: dict[str, list[SweepJob]] = {}
    for job in jobs:
        if job.run_id:
            found.setdefault(job.run_id, []).append(job)
    return [same for same in found.values() if len(same) > 1]


def _share_training(jobs: Sequence[SweepJob]) -> bool:
    return group_equal_jobs(jobs) == [list(jobs)]


def parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Return the value that each override sets its key to; `~KEY` deletes it."""
    found = {}
    for word in overrides:
        key, _, value = word.lstrip("+~").partition("=")
        found[key] = "(deleted)" if word.startswith("~") else value
    return found


def format_jobs_table(jobs: Sequence[SweepJob]) -> str:
    """Format a table of the jobs: the best of each kind first, failed jobs last."""
    several = len(_list_kinds(jobs)) > 1
    figure = next((job.figure for job in jobs if job.figure), get_main_metric("detect"))
    head = ("job", "val" if several else f"val {figure}", "status", "experiment", "overrides")
    rows = [head, *(_format_row(job, named=several) for job in _sort_jobs(jobs))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _sort_jobs(jobs: Sequence[SweepJob]) -> list[SweepJob]:
    """Sort jobs by kind, the best first, failed jobs last."""
    places = {name: place for place, name in enumerate(_list_kinds(jobs))}

    def rank(job: SweepJob) -> tuple[int, float, int]:
        return (
            len(places) if job.score is None else places[describe_metric(job)],
            -(job.score or 0.0),
            job.number,
        )

    return sorted(jobs, key=rank)


def _format_row(job: SweepJob, *, named: bool) -> tuple[str, ...]:
    score = "-" if job.score is None else f"{job.score:.4f}"
    words = " ".join(job.overrides) or "(as conf/ says)"
    return (
        str(job.number),
        f"{describe_metric(job)} {score}".strip() if named else score,
        job.status,
        job.experiment,
        words + (f": {job.reason}" if job.reason else ""),
    )
