"""Summarize a study for its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.text import format_count
from pipeline.sweep.report.points import SweepSummary

if TYPE_CHECKING:
    from pipeline.sweep.study.points import StudyPoint  # imports Optuna, which is slow
    from pipeline.sweep.study.sweep_study import SweepStudy

_MOST_NAMED: int = 5
"""Points that a note names."""


def summarize_study(study: SweepStudy, command: str) -> SweepSummary:
    """Summarize a study as it is now, the jobs of earlier commands included.

    Args:
        study: The study.
        command: The command that runs or continues the sweep.
    """
    points = study.points
    trained = [point for point in points if point.status != "duplicate"]
    results = {row.job.number: row for point in trained for row in point.results}
    savings = study.summarize_pruning()
    return SweepSummary(
        name=study.name,
        command=command,
        results=tuple(results.values()),
        repetitions=study.repetitions.total,
        objectives=study.settings.objectives,
        constraints=study.settings.constraints,
        savings=savings if savings.jobs else None,
        notes=tuple([*_describe_duplicates(points), *_describe_rejected(points)]),
    )


def _describe_duplicates(points: Sequence[StudyPoint]) -> list[str]:
    """Name the points that were not trained, since they are the training of another one."""
    same = [point for point in points if point.status == "duplicate"]
    named = [f"{point.number} (as {point.duplicate_of})" for point in same[:_MOST_NAMED]]
    more = ", ..." if len(same) > _MOST_NAMED else ""
    count = format_count(len(same), "point was", "points were")
    return [f"{count} not trained, as equal to another one: {', '.join(named)}{more}"] if same else []


def _describe_rejected(points: Sequence[StudyPoint]) -> list[str]:
    """Say why points could not be trained, or be judged; each reason once."""
    lines = []
    for status, what in (("infeasible", "not trained"), ("unrated", "trained, but not judged")):
        found = [point for point in points if point.status == status]
        reasons = list(dict.fromkeys(point.reason or "no reason is known" for point in found))[:_MOST_NAMED]
        count = format_count(len(found), "point was", "points were")
        lines += [f"{count} {what}: {'; '.join(reasons)}"] if found else []
    return lines
