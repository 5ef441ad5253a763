"""The results of a sweep for the terminal: a table of its points, the best one, and the next step."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from pipeline.core.text import format_count
from pipeline.runtime.progress import format_duration
from pipeline.sweep.job import JobResult
from pipeline.sweep.report.points import (
    PointSummary,
    SweepSummary,
    group_equal_jobs,
    parse_overrides,
)
from pipeline.sweep.study.objectives import is_minimized, parse_constraint

_NO_OVERRIDES: Final = "(as conf/ says)"
_DIGITS: Final = 4


def describe_sweep(summary: SweepSummary, *, config_name: str | None = None) -> list[str]:
    """Return the table of a sweep, what to know about it, and the next step, for the terminal.

    Args:
        summary: The sweep.
        config_name: The name of the file in conf/experiment that repeats the best point; None without one.
    """
    if not summary.results:
        return ["no job has ended"]
    notes = [
        *summary.notes,
        *_describe_equal_jobs(summary),
        *_describe_failures(summary),
        *describe_savings(summary),
    ]
    return ["", format_points_table(summary), "", *notes, *describe_best(summary, config_name)]


def format_points_table(summary: SweepSummary) -> str:
    """Format a table of the points: the best of each kind first, those without a score last."""
    return format_columns(build_point_cells(summary))


def build_point_cells(summary: SweepSummary) -> list[list[str]]:
    """Return the heading and a row for each point, in the order of `sort_points`."""
    kinds = list(dict.fromkeys(point.kind for point in summary.points if point.kind))
    several = len(kinds) > 1
    metric = next((point.metric for point in summary.points if point.metric), "")
    what = f"val {metric}".strip() if not several else "val"
    extra = _list_measured(summary)
    repeated = summary.repetitions > 1 or any(len(point.jobs) > 1 for point in summary.points)
    head = ["point" if repeated else "job", what, *(["std", "jobs"] if repeated else []), *extra]
    head += ["status", *([] if repeated else ["experiment"]), "time", "what differs"]
    points = sort_points(summary)
    return [
        head,
        *(_format_point(point, several=several, repeated=repeated, extra=extra) for point in points),
    ]


def sort_points(summary: SweepSummary) -> list[PointSummary]:
    """Sort points by kind and mean; incomplete ones come after complete ones, those without a score last."""
    kinds = list(dict.fromkeys(point.kind for point in summary.points if point.kind))
    objective = summary.objectives[0] if summary.objectives else None

    def rank(point: PointSummary) -> tuple[int, bool, float, int]:
        place = kinds.index(point.kind) if point.mean is not None else len(kinds)
        value = point.compute_means([objective]).get(objective) if objective else point.mean
        lower = objective is not None and is_minimized(objective)
        ordered = 0.0 if value is None else value if lower else -value
        return place, not point.is_complete or not point.is_feasible, ordered, point.number

    return sorted(summary.points, key=rank)


def describe_best(summary: SweepSummary, config_name: str | None = None) -> list[str]:
    """Return sentences about the best point, or the Pareto front, and the commands that use it."""
    if summary.has_front:
        return _describe_front(summary)
    lines = []
    for point in summary.best if len(summary.points) > 1 or len(summary.best) > 1 else []:
        name = f"best by {point.kind}" if len(summary.best) > 1 else "best"
        lines.append(f"{name}: {describe_point(summary, point)}")
    if summary.test:
        lines.append(summary.test)
    if not summary.best:
        lines += _explain_no_best(summary)
    return [*lines, *_describe_next_step(summary, config_name)]


def describe_point(summary: SweepSummary, point: PointSummary) -> str:
    """Return what a point is, with its score: `lr0=0.001: val mAP50-95 0.4123`."""
    what = point.label or _NO_OVERRIDES
    if summary.objectives:
        means = point.compute_means(summary.objectives)
        return f"{what}: {', '.join(f'{name} {value:.4g}' for name, value in means.items())}"
    mean = "mean " if len(point.scores) > 1 else ""
    spread = "" if point.spread is None else f", standard deviation {point.spread:.4f}"
    jobs = f" ({_describe_repetitions(point)})" if len(point.jobs) > 1 else ""
    return f"{what}: val {point.metric} {mean}{point.mean or 0.0:.4f}{spread}{jobs}"


def build_rerun_command(point: PointSummary, name: str | None) -> str:
    """Return the command that trains a point again.

    Args:
        point: The point.
        name: Of the file in conf/experiment that repeats it; None where there is none.
    """
    words = [f"+experiment={name}"] if name else list(point.overrides)
    if name:
        words += [word for word in point.overrides if word.startswith("~")]
    return shlex.join(["dvc", "exp", "run", *(part for word in words for part in ("-S", word))])


def format_columns(rows: Sequence[Sequence[str]]) -> str:
    """Align cells in columns; the last column is not padded."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _list_measured(summary: SweepSummary) -> list[str]:
    """List the objectives and limited metrics that have a column, beside the metric that ranks."""
    metrics = {point.metric for point in summary.points}
    limited = [parse_constraint(text).metric for text in summary.constraints]
    return list(dict.fromkeys(name for name in (*summary.objectives, *limited) if name not in metrics))


def _format_point(point: PointSummary, *, several: bool, repeated: bool, extra: Sequence[str]) -> list[str]:
    score = "-" if point.mean is None else f"{point.mean:.{_DIGITS}f}"
    spread = "-" if point.spread is None else f"{point.spread:.{_DIGITS}f}"
    means = point.compute_means(extra)
    number = point.number if repeated else point.jobs[0].job.number
    counts = [spread, f"{len(point.scores)}/{max(point.planned, len(point.jobs))}"] if repeated else []
    what = point.label or _NO_OVERRIDES
    reason = None if point.status == "pruned" else point.jobs[0].reason
    return [
        str(number),
        f"{point.kind} {score}".strip() if several else score,
        *counts,
        *(f"{means[name]:.4g}" if name in means else "-" for name in extra),
        _describe_status(point),
        *([] if repeated else [point.jobs[0].job.experiment]),
        format_duration(point.seconds),
        what if repeated or not reason else f"{what}: {reason}",
    ]


def _describe_status(point: PointSummary) -> str:
    epochs = next((job.epochs for job in point.jobs if job.status == "pruned"), None)
    if point.status == "pruned" and epochs is not None:
        return f"pruned in epoch {epochs}"
    return point.status if point.is_feasible else "not allowed"


def _describe_repetitions(point: PointSummary) -> str:
    if not point.has_folds:
        return format_count(len(point.scores), "seed")
    seeds = {parse_overrides(row.job.overrides).get("seed") for row in point.jobs}
    return format_count(len(point.scores), "fold" if len(seeds) == 1 else "training")


def _describe_equal_jobs(summary: SweepSummary) -> list[str]:
    """Name the jobs whose different values made no difference."""
    return [
        f"jobs {', '.join(str(row.job.number) for row in same)} are one training: what differs "
        "between them changed nothing that it reads"
        for same in group_equal_jobs(summary.results)
    ]


def _describe_failures(summary: SweepSummary) -> list[str]:
    """Name the failed and killed repetitions, which have no row of their own."""
    if all(len(point.jobs) == 1 for point in summary.points) and summary.repetitions == 1:
        return []
    return [_describe_failure(row) for row in summary.list_jobs("failed", "killed")]


def _describe_failure(row: JobResult) -> str:
    return f"job {row.job.number} (point {row.job.point}, {row.job.experiment}) {row.status}: {row.reason}"


def describe_savings(summary: SweepSummary) -> list[str]:
    """Return a sentence about what pruning saved; none where nothing was pruned."""
    saved = summary.savings
    if not saved or not saved.jobs:
        return []
    ended = format_count(saved.jobs, "training was ended early", "trainings were ended early")
    skipped = f", {saved.skipped} more were not started" if saved.skipped else ""
    return [
        f"pruning: {ended}{skipped}: {format_count(saved.epochs, 'epoch', 'epochs')} less, "
        f"about {format_duration(saved.seconds)} of training"
    ]


def _describe_front(summary: SweepSummary) -> list[str]:
    if not summary.best:
        return _explain_no_best(summary)
    weighed = " and ".join(
        f"{'least' if is_minimized(name) else 'most'} {name}" for name in summary.objectives
    )
    shown = [
        f"  {describe_point(summary, point)}: `dvc exp apply {summary.get_experiment(point)}`"
        for point in summary.best
    ]
    count = format_count(len(summary.best), "point is", "points are")
    return [f"{count} on the Pareto front ({weighed}): no other point is as good in everything", *shown]


def _explain_no_best(summary: SweepSummary) -> list[str]:
    if not any(point.scores for point in summary.points):
        return ["there is no best: no training came to its end"]
    if not any(point.is_complete for point in summary.points):
        return ["there is no best: no point has all of its repetitions"]
    if not summary.candidates:
        return ["there is no best: no point keeps the constraints"]
    return []


def _describe_next_step(summary: SweepSummary, config_name: str | None) -> list[str]:
    lines = []
    for point in summary.best:
        which = f" ({point.kind})" if len(summary.best) > 1 else ""
        if not point.has_folds:
            what = "its first training" if len(point.jobs) > 1 else "it"
            command = f"dvc exp apply {summary.get_experiment(point)}"
            lines.append(f"take {what} into the workspace{which}: `{command}`")
        name = config_name if point is summary.winner else None
        if name or (point.has_folds and len(summary.points) > 1):
            how = "train it without folds" if point.has_folds else "train it again"
            lines.append(f"{how}{which}: `{build_rerun_command(point, name)}`")
    return lines
