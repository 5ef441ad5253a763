"""What pruning saved: epochs and seconds that were not trained."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from statistics import median
from typing import NamedTuple

from pipeline.sweep.job import JobResult
from pipeline.sweep.study.points import StudyPoint


class PruningSummary(NamedTuple):
    """What pruning saved.

    Attributes:
        jobs: Trainings that were ended early.
        skipped: Further repetitions of pruned points, which were not started.
        epochs: Epochs that were not trained.
        seconds: What these epochs would have taken, at the speed of each job, or of whole ones if faster.
    """

    jobs: int
    skipped: int
    epochs: int
    seconds: float


def summarize_pruning(points: Sequence[StudyPoint], repetitions: int) -> PruningSummary:
    """Summarize what pruning saved.

    Args:
        points: All points of the study.
        repetitions: How many trainings each point has.
    """
    usual, speed = _find_usual_epochs(points), _find_usual_speed(points)
    pruned = [point for point in points if point.status == "pruned"]
    ended = [(point, result) for point in pruned for result in point.results if result.status == "pruned"]
    saved = [_count_saved(result, point.epochs or usual, speed) for point, result in ended]
    skipped = [(point, repetitions - len(point.results)) for point in pruned]
    more = [_count_skipped(point, count, usual, speed) for point, count in skipped]
    return PruningSummary(
        jobs=len(ended),
        skipped=sum(count for _, count in skipped),
        epochs=sum(epochs for epochs, _ in [*saved, *more]),
        seconds=sum(seconds for _, seconds in [*saved, *more]),
    )


def _count_saved(result: JobResult, epochs: int | None, speed: float) -> tuple[int, float]:
    if not epochs or not result.epochs or result.epochs >= epochs:
        return 0, 0.0
    left = epochs - result.epochs
    return left, left * min(speed, result.seconds / result.epochs)


def _count_skipped(point: StudyPoint, count: int, usual: int | None, speed: float) -> tuple[int, float]:
    """Return epochs and seconds of repetitions that were not started, at the speed of those that were."""
    epochs = point.epochs or usual or 0
    speeds = [result.seconds / result.epochs for result in point.results if result.epochs]
    return count * epochs, count * epochs * (min(speed, median(speeds)) if speeds else 0.0)


def _find_usual_speed(points: Sequence[StudyPoint]) -> float:
    """Return the seconds per epoch of whole trainings; infinite without one.

    A training that ended early spent a large part of its time on its start, which no further epoch repeats.
    """
    speeds = [
        result.seconds / result.epochs
        for point in points
        for result in point.results
        if result.status == "trained" and result.epochs
    ]
    return median(speeds) if speeds else inf


def _find_usual_epochs(points: Sequence[StudyPoint]) -> int | None:
    counts = [
        result.epochs
        for point in points
        for result in point.results
        if result.status == "trained" and result.epochs
    ]
    return round(median(counts)) if counts else None
