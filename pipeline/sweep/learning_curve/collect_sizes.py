"""Collect the trainings of a learning curve from their DVC experiments: scores and numbers of images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import SPLITS_FILE, TRAINING_METRICS_FILE
from pipeline.core.text import format_count
from pipeline.dataset.history import read_manifest_at_revision
from pipeline.sweep.experiments import find_experiment_commit, read_committed_file
from pipeline.sweep.learning_curve.check_curve import FRACTION_KEY
from pipeline.sweep.learning_curve.curve_size import CurveSize
from pipeline.sweep.report.points import PointSummary, SweepSummary, parse_overrides
from pipeline.sweep.winner import read_test_score

MAX_DEVIATION: Final = 1.25
"""A part may have so many times more or fewer images than its fraction, by which its epochs are chosen."""
MAX_NAMED: Final = 10
"""Classes that a remark names; the others are counted."""


class CollectedSizes(NamedTuple):
    """The trainings that have ended.

    Attributes:
        sizes: Ascending in their number of images; those of which each training has a score.
        remarks: Sentences about what is missing.
    """

    sizes: tuple[CurveSize, ...]
    remarks: tuple[str, ...]


def collect_sizes(summary: SweepSummary, project: Path) -> CollectedSizes:
    """Collect the sizes of which each training has ended; another one would be compared by other seeds.

    Args:
        summary: Of the sweep.
        project: The project's folder.

    Raises:
        UserError: The trainings were tested on different images.
    """
    found = [_read_size(point, project) for point in summary.points if point.is_complete]
    read = sorted((size for size in found if size), key=lambda size: size.images)
    _require_one_split(read, project)
    sizes, left_out = select_sizes(read)
    missing = [_get_fraction(point) for point in summary.points if not point.is_complete]
    remarks = [f"not all trainings have ended for {FRACTION_KEY}={fraction:g}" for fraction in missing]
    remarks += left_out
    unread = len(found) - len(read)
    if unread:
        remarks.append(
            f"{format_count(unread, 'fraction is', 'fractions are')} left out: their experiments have no "
            "test score; the experiments of a sweep are in `dvc exp list`"
        )
    return CollectedSizes(tuple(sizes), tuple(remarks))


def find_absent_classes(sizes: Sequence[CurveSize]) -> list[str]:
    """Return a sentence about classes that some training of the smallest size did not see.

    Classes that those on most images did not see either are none of its loss. There is no sentence where the
    images are not known.

    Args:
        sizes: Ascending in their number of images; one or more.
    """
    size = sizes[0]
    try:
        counts, most = (
            [read_manifest_at_revision(commit).count_objects("train") for commit in each.commits]
            for each in (size, sizes[-1])
        )
    except UserError:
        return []
    lost = [name for name in counts[0] if any(not each[name] for each in counts)]
    absent = [name for name in lost if any(each.get(name) for each in most)]
    if not absent:
        return []
    named = ", ".join(absent[:MAX_NAMED])
    more = f" and {len(absent) - MAX_NAMED} more" if len(absent) > MAX_NAMED else ""
    return [f"some trainings on {size.images:,.0f} images saw no object of: {named}{more}"]


def select_sizes(sizes: Sequence[CurveSize]) -> tuple[list[CurveSize], list[str]]:
    """Select the sizes whose parts have about as many images as their fraction says.

    Whole groups may make a part much larger or smaller, and its epochs were chosen by the fraction.

    Returns:
        The sizes, and a sentence about each that is left out.
    """
    whole = next((size.images for size in sizes if size.fraction == 1), None)
    if whole is None:
        return list(sizes), []
    fit = [size for size in sizes if not _deviates(size, whole)]
    return fit, [_explain_left_out(size, whole) for size in sizes if size not in fit]


def _deviates(size: CurveSize, whole: float) -> bool:
    wanted = size.fraction * whole
    return any(not wanted / MAX_DEVIATION <= max(count, 1) <= wanted * MAX_DEVIATION for count in size.counts)


def _explain_left_out(size: CurveSize, whole: float) -> str:
    low, high = min(size.counts), max(size.counts)
    counts = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return (
        f"{FRACTION_KEY}={size.fraction:g} is left out: its parts have {counts} images instead of "
        f"{size.fraction * whole:,.0f}, since groups stay whole (data.group_by, near copies), so they "
        "were not trained on for as long as the others"
    )


def _get_fraction(point: PointSummary) -> float:
    return float(parse_overrides(point.jobs[0].job.overrides)[FRACTION_KEY])


def _read_size(point: PointSummary, project: Path) -> CurveSize | None:
    """Return a size; None where an experiment was removed, or has no test score."""
    experiments = tuple(row.job.experiment for row in point.jobs)
    commits = [find_experiment_commit(project, name) for name in experiments]
    scores = [read_test_score(project, name, str(point.metric)) for name in experiments]
    images = [*_read_image_counts(project, commits)]
    if None in commits or None in scores or None in images:
        return None
    return CurveSize(
        _get_fraction(point),
        sum(filter(None, images)) / len(images),
        tuple(score.value for score in scores if score),
        tuple(point.scores),
        experiments,
        tuple(commit for commit in commits if commit),
        tuple(count for count in images if count is not None),
    )


def _read_image_counts(project: Path, commits: list[str | None]) -> Iterator[int | None]:
    """Yield the number of train images of each training."""
    for commit in commits:
        text = read_committed_file(project, commit, TRAINING_METRICS_FILE) if commit else None
        yield json.loads(text).get("train_images") if text else None


def _require_one_split(sizes: list[CurveSize], project: Path) -> None:
    commits = [commit for size in sizes for commit in size.commits]
    splits = {read_committed_file(project, commit, SPLITS_FILE) for commit in commits}
    if len(splits) > 1:
        raise UserError(
            "the images were divided anew while the sweep ran, as by a `dvc repro` beside it, so its "
            "trainings cannot be compared: run the command again with another sweep.name"
        )
