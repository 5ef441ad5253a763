"""Summarize a cross-validation: mean and standard deviation over the folds of each combination of values."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Final, NamedTuple

from pipeline.sweep.results import SweepJob, describe_metric, parse_overrides

FOLD_KEY: Final = "data.fold"


class FoldSummary(NamedTuple):
    """The folds of one combination of the other values.

    Attributes:
        overrides: The other values, such as `finetune.lr0=0.001`.
        kind: Task and metric of the scores, such as `detect mAP50-95`.
        metric: The metric, such as `mAP50-95`.
        folds: Number of folds with a score.
        jobs: Number of folds, failed ones included.
        mean: Mean of the scores.
        std: Standard deviation of the scores (with n - 1); None for a single fold.
    """

    overrides: tuple[str, ...]
    kind: str
    metric: str
    folds: int
    jobs: int
    mean: float
    std: float | None


def sweeps_folds(jobs: Sequence[SweepJob]) -> bool:
    """Return whether the jobs are the folds of a cross-validation: data.fold has several values."""
    return len({parse_overrides(job.overrides).get(FOLD_KEY) for job in jobs} - {None}) > 1


def summarize_folds(jobs: Sequence[SweepJob]) -> list[FoldSummary]:
    """Summarize the scores of each combination over its folds: by kind of score, the best mean first.

    A combination with failed folds comes after those that are complete: its mean is one of other images.
    """
    combinations: dict[tuple[str, ...], list[SweepJob]] = {}
    for job in jobs:
        others = tuple(word for word in job.overrides if word.lstrip("+").partition("=")[0] != FOLD_KEY)
        combinations.setdefault(others, []).append(job)
    found = [_summarize(others, members) for others, members in combinations.items()]
    summaries = [summary for summary in found if summary]
    kinds = list(dict.fromkeys(summary.kind for summary in summaries))
    return sorted(summaries, key=lambda row: (kinds.index(row.kind), row.folds < row.jobs, -row.mean))


def select_best_combinations(summaries: Sequence[FoldSummary]) -> list[FoldSummary]:
    """Return the combination with the best mean of each kind of score; none without another to compare."""
    kinds = [summary.kind for summary in summaries]
    first = {summary.kind: summary for summary in reversed(summaries)}
    return [first[kind] for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]


def format_fold_summary(summary: FoldSummary) -> str:
    """Format a summary on one line."""
    values = f"{' '.join(summary.overrides)}: " if summary.overrides else ""
    spread = "" if summary.std is None else f", standard deviation {summary.std:.4f}"
    failed = f" of {summary.jobs}" if summary.folds < summary.jobs else ""
    return f"{values}val {summary.kind} mean {summary.mean:.4f}{spread} ({summary.folds}{failed} folds)"


def _summarize(overrides: tuple[str, ...], jobs: Sequence[SweepJob]) -> FoldSummary | None:
    scored = [job for job in jobs if job.score is not None]
    scores = [job.score for job in scored if job.score is not None]
    if not scores:
        return None
    std = stdev(scores) if len(scores) > 1 else None
    kind, metric = describe_metric(scored[0]), scored[0].figure or ""
    return FoldSummary(overrides, kind, metric, len(scores), len(jobs), fmean(scores), std)
