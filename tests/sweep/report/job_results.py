"""Build results of sweep jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.report.points import SweepSummary


def make_job(number: int, *, point: int | None = None, repetition: int = 0, **changes: Any) -> SweepJob:
    """Make the job of a point; its learning rate tells the points apart."""
    place = number if point is None else point
    values: dict[str, Any] = {
        "overrides": (f"finetune.lr0={place + 1}e-3",),
        "label": f"lr0={place + 1}e-3",
        "experiment": f"rates-{number}",
    }
    return SweepJob(number, place, repetition, **{**values, **changes})


def make_result(
    number: int,
    score: float | None,
    *,
    status: str | None = None,
    job: SweepJob | None = None,
    more: Mapping[str, float] | None = None,
    **changes: Any,
) -> JobResult:
    """Make the result of a job; one without a score has failed."""
    metric = changes.pop("metric", "mAP50-95" if score is not None else None)
    task = changes.pop("task", "detect" if score is not None else None)
    metrics = {**({metric: score} if score is not None else {}), **(more or {})}
    ended = status or ("failed" if score is None else "trained")
    facts: dict[str, Any] = {"run_id": f"run-{number}" if score is not None else None, "seconds": 60.0}
    return JobResult(job or make_job(number), ended, metrics, metric, task, **{**facts, **changes})


def make_repeated(point: int, *scores: float | None, word: str = "seed", **changes: Any) -> list[JobResult]:
    """Make the results of one point: a repetition for each score, by seeds or by folds."""
    results = []
    for place, score in enumerate(scores):
        own = (f"seed={place}",) if word == "seed" else (f"data.folds={len(scores)}", f"data.fold={place}")
        values = (f"finetune.lr0={point + 1}e-3", *own)
        label = f"lr0={point + 1}e-3 {word}={place}"
        number = point * len(scores) + place
        job = make_job(number, point=point, repetition=place, overrides=values, label=label)
        results.append(make_result(number, score, job=job, **changes))
    return results


def summarize(*results: JobResult, **changes: Any) -> SweepSummary:
    """Make the summary of a sweep."""
    return SweepSummary("rates", "finetrack sweep finetune.lr0=1e-3,2e-3", results, **changes)
