"""The learning curve as lines for the terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from pipeline.sweep.job import JobResult
from pipeline.sweep.learning_curve.check_curve import FRACTION_KEY
from pipeline.sweep.learning_curve.curve_size import LearningCurve
from pipeline.sweep.report.points import parse_overrides
from pipeline.sweep.report.results_table import format_columns

_DECIMALS = 6
"""Further ones differ between machines."""


def describe_learning_curve(curve: LearningCurve, lost: Sequence[JobResult] = ()) -> list[str]:
    """Return the table, the forecast, what a reader has to know, and the answer, for the terminal.

    Args:
        curve: The learning curve.
        lost: The jobs that failed.
    """
    lines = []
    if curve.sizes:
        lines += ["", format_columns(build_size_cells(curve)), ""]
    if curve.forecasts:
        lines += [format_columns(build_forecast_cells(curve)), ""]
    lines += [_describe_failure(row) for row in lost]
    return [*lines, *curve.remarks, curve.sentence]


def build_size_cells(curve: LearningCurve) -> list[list[str]]:
    """Return the heading and a row for each number of images."""
    head = ["images", "share", f"test {curve.metric}", "95% interval", "std", "val", "trainings"]
    rows = [
        [
            f"{size.images:,.0f}",
            f"{size.fraction:g}",
            f"{found.mean:.4f}",
            f"{found.low:.3f} to {found.high:.3f}" if found.high > found.low else "-",
            "-" if found.spread is None else f"{found.spread:.4f}",
            f"{fmean(size.val):.4f}",
            str(len(size.test)),
        ]
        for size, found in zip(curve.sizes, curve.intervals, strict=True)
    ]
    return [head, *_build_zero_shot_cells(curve), *rows]


def _build_zero_shot_cells(curve: LearningCurve) -> list[list[str]]:
    """Return the row of the model without training; none without one."""
    found = curve.zero_shot
    if found is None:
        return []
    interval = f"{found.low:.3f} to {found.high:.3f}" if found.high > found.low else "-"
    return [["0 (zero-shot)", "0", f"{found.score:.4f}", interval, "-", "-", "0"]]


def build_forecast_cells(curve: LearningCurve) -> list[list[str]]:
    """Return the heading and a row for each forecast."""
    head = ["forecast", "images", f"test {curve.metric}", "gain", "95% interval"]
    rows = [
        [
            f"x {each.times:g}",
            f"{each.images:,}",
            f"{each.score:.4f}",
            f"{each.gain:+.4f}",
            f"{each.low:+.3f} to {each.high:+.3f}",
        ]
        for each in curve.forecasts
    ]
    return [head, *rows]


def curve_to_json(curve: LearningCurve) -> dict[str, Any]:
    """Convert a learning curve to JSON values."""
    sizes = [
        {
            **size._asdict(),
            "mean": found.mean,
            "low": found.low if found.high > found.low else None,
            "high": found.high if found.high > found.low else None,
            "std": found.spread,
        }
        for size, found in zip(curve.sizes, curve.intervals, strict=True)
    ]
    values: dict[str, Any] = {
        "sweep": curve.name,
        "command": curve.command,
        "task": curve.task,
        "metric": curve.metric,
        "verdict": curve.verdict,
        "sentence": curve.sentence,
        "test_groups": curve.groups,
        "zero_shot": curve.zero_shot._asdict() if curve.zero_shot else None,
        "sizes": sizes,
        "forecasts": [each._asdict() for each in curve.forecasts],
        "course": [step._asdict() for step in curve.course],
        "remarks": list(curve.remarks),
    }
    rounded: dict[str, Any] = _round_numbers(values)
    return rounded


def _describe_failure(row: JobResult) -> str:
    fraction = parse_overrides(row.job.overrides).get(FRACTION_KEY, "?")
    return f"job {row.job.number} ({FRACTION_KEY}={fraction}) {row.status}: {row.reason}"


def _round_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, dict):
        return {name: _round_numbers(item) for name, item in value.items()}
    return [_round_numbers(item) for item in value] if isinstance(value, list | tuple) else value
