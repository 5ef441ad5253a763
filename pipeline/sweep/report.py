"""Report a sweep: the table and the next step on the console, results in the parent run of MLflow."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict

from pipeline.sweep.folds import (
    FoldSummary,
    format_fold_summary,
    select_best_combinations,
    summarize_folds,
    sweeps_folds,
)
from pipeline.sweep.results import (
    SweepJob,
    describe_metric,
    format_jobs_table,
    group_equal_jobs,
    list_failed_jobs,
    parse_overrides,
    select_best_jobs,
)
from pipeline.tracking.session import RunSession


def log_results(session: RunSession, done: Sequence[SweepJob]) -> None:
    """Log the table of jobs, their scores as a curve, and the best job or the folds to the parent run."""
    if not done:
        return
    several = len({describe_metric(job) for job in done if job.figure}) > 1
    session.log_table([{**asdict(row), "overrides": " ".join(row.overrides)} for row in done], "jobs.json")
    for row in done:
        if row.figure:
            name = _name_metric(describe_metric(row), row.figure, several=several)
            session.log_metrics({f"job/{name}": row.score}, step=row.number)
    session.log_metrics({"jobs": len(done), "failed": len(list_failed_jobs(done))})
    if sweeps_folds(done):
        _log_folds(session, summarize_folds(done), several=several)
    else:
        _log_best_jobs(session, select_best_jobs(done), several=several)


def describe_results(done: Sequence[SweepJob]) -> list[str]:
    """Return the table of jobs and the next step, for the console."""
    folds = sweeps_folds(done)
    lines = _describe_folds(summarize_folds(done)) if folds else _describe_best_jobs(done)
    return ["", format_jobs_table(done), "", *_describe_equal_jobs(done), *lines]


def _name_metric(kind: str, metric: str, *, several: bool) -> str:
    """Name a metric as the jobs' runs call it, to be one column in the UI."""
    return kind.replace(" ", "/") if several else metric


def _log_best_jobs(session: RunSession, found: Sequence[SweepJob], *, several: bool) -> None:
    for best in found:
        name = _name_metric(describe_metric(best), str(best.figure), several=several)
        session.log_metrics({f"best/{name}": best.score})
    if len(found) == 1:
        session.set_tags({"finetrack.best": found[0].experiment, "finetrack.best.run": found[0].run_id})
        session.log_params({"best": parse_overrides(found[0].overrides)})


def _log_folds(session: RunSession, summaries: Sequence[FoldSummary], *, several: bool) -> None:
    """Log mean and standard deviation: of one combination as results, of several as a curve over them."""
    for number, row in enumerate(summaries):
        name = _name_metric(row.kind, row.metric, several=several)
        alone = [other.kind for other in summaries].count(row.kind) == 1
        values = {f"mean/{name}": row.mean, f"std/{name}": row.std, "folds": row.folds}
        session.log_metrics(values, step=None if alone else number)
    best = select_best_combinations(summaries)
    for row in best:
        session.log_metrics({f"best/{_name_metric(row.kind, row.metric, several=several)}": row.mean})
    if len(best) == 1:
        session.log_params({"best": parse_overrides(best[0].overrides)})
    if summaries:
        session.set_description("\n".join(f"- {format_fold_summary(row)}" for row in summaries))


def _describe_best_jobs(done: Sequence[SweepJob]) -> list[str]:
    found = select_best_jobs(done)
    names = [f"best by {describe_metric(best)}" if len(found) > 1 else "best" for best in found]
    return [
        f"{name}: take it into the workspace with `dvc exp apply {best.experiment}`"
        for name, best in zip(names, found, strict=True)
    ]


def _describe_equal_jobs(done: Sequence[SweepJob]) -> list[str]:
    """Name the jobs whose different values made no difference."""
    return [
        f"jobs {', '.join(str(job.number) for job in same)} are one training: what differs "
        "between them changed nothing that it reads"
        for same in group_equal_jobs(done)
    ]


def _describe_folds(summaries: Sequence[FoldSummary]) -> list[str]:
    """Describe the folds of each combination, and the best of several combinations."""
    best = select_best_combinations(summaries)
    lines = [format_fold_summary(row) for row in summaries]
    for row in best:
        name = f"best mean of {row.kind}" if len(best) > 1 else "best mean"
        lines.append(f"{name}: {' '.join(row.overrides)}; train it with `{_format_command(row.overrides)}`")
    return lines


def _format_command(overrides: Sequence[str]) -> str:
    """Return the command that trains a combination without folds."""
    others = [word for word in overrides if "data.folds" not in parse_overrides([word])]
    flags = [word for item in (*others, "data.folds=null") for word in ("-S", item)]
    return shlex.join(["dvc", "exp", "run", *flags])
