"""Differences with their intervals as rows of a chart: all rows share one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from pipeline.comparison.comparison_result import PairedDifference
from pipeline.comparison.statistics.paired_interval import SIGNIFICANCE
from pipeline.comparison.text_report import format_p_value
from pipeline.evaluate.further_metric_names import LOWER_IS_BETTER

STEPS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Distances of the lines of the scale."""
WANTED_LINES: Final = 3
"""About so many lines on each side of 0."""


def build_interval_chart(rows: Sequence[PairedDifference]) -> dict[str, Any]:
    """Return the rows with places of their intervals in percent of the chart's width, and its scale.

    Intervals that are as wide as all that is possible do not set the scale: they are cut off.
    """
    bounds = [abs(bound) for row in rows for bound in (row.low, row.high) if abs(bound) < 1]
    differences = [abs(row.difference) for row in rows]
    reach = max(0.01, *sorted(bounds)[: max(1, math.ceil(0.95 * len(bounds)))], *differences, 0.0)
    step = next((step for step in STEPS if reach / step <= WANTED_LINES), STEPS[-1])
    half = step * math.ceil(reach / step)
    count = round(half / step)
    return {
        "ticks": [
            {"left": _place(number * step, half), "text": f"{number * step:+.3g}" if number else "0"}
            for number in range(-count, count + 1)
        ],
        "rows": [_build_row(row, half) for row in rows],
    }


def _build_row(row: PairedDifference, half: float) -> dict[str, Any]:
    low, high = (_place(min(half, max(-half, bound)), half) for bound in (row.low, row.high))
    shown = row.p_value < SIGNIFICANCE
    return {
        "name": row.name,
        "first": f"{row.first:.3f}",
        "second": f"{row.second:.3f}",
        "difference": f"{row.difference:+.3f}",
        "interval": f"{row.low:+.3f} to {row.high:+.3f}",
        "p": format_p_value(row.p_value),
        "objects": row.objects,
        "images": row.images,
        "left": low,
        "width": high - low,
        "dot": _place(min(half, max(-half, row.difference)), half),
        "verdict": ("better" if is_gain(row) else "worse") if shown else "unclear",
    }


def is_gain(row: PairedDifference) -> bool:
    """Tell whether a difference is for the better: a calibration error should be low."""
    return (row.difference > 0) != (row.name in LOWER_IS_BETTER)


def _place(value: float, half: float) -> float:
    return 50 + 50 * value / half
