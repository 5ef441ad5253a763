"""Charts for the templates: stacked bars, lines, a co-occurrence table, heat maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.text import format_count
from pipeline.prepare.report.histograms import Histogram
from pipeline.visualize.pages.render import encode_data_uri

HEAT_MAP_PIXELS: Final = 288
"""Side of a smooth heat map in pixels."""


class StackedBar(NamedTuple):
    """One stacked bar; lengths are shares of the chart, 0..1.

    Attributes:
        left: Left side, as a share of the chart's width.
        width: Width, as a share of the chart's width.
        parts: For each split its name, and the top and height of its part as shares of the chart's height.
        title: Text of the tooltip.
    """

    left: float
    width: float
    parts: tuple[tuple[str, float, float], ...]
    title: str


class Chart(NamedTuple):
    """Bars or lines, and the ticks below them.

    Attributes:
        bars: The bars of a bar chart.
        lines: For each split its name and the points of its line, `x,y x,y ...` in a square of 100.
        ticks: Position (share of the width) and text.
        most: The value at the full height.
    """

    bars: tuple[StackedBar, ...]
    lines: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[float, str], ...]
    most: str


class TableCell(NamedTuple):
    """One cell of a shaded table: its shade (0..1), its text and its tooltip."""

    shade: float
    text: str
    title: str


BinLabel = Callable[[float, float], str]
"""Names the histogram bin between two edges."""


def label_integers(low: float, high: float) -> str:
    """Name a bin of whole numbers."""
    return f"{low:.0f}" if high - low <= 1 else f"{low:.0f}–{high - 1:.0f}"


def label_pixels(low: float, high: float) -> str:
    """Name a bin of pixels."""
    return f"{low:.0f}+" if high == float("inf") else f"<{high:.0f}" if not low else f"{low:.0f}–{high:.0f}"


def label_aspect_ratio(low: float, high: float) -> str:
    """Name a bin of log2(width / height) by its middle."""
    middle = (low + high) / 2
    number = f"{2 ** abs(middle):.2g}"
    return f"{number}:1" if middle >= 0 else f"1:{number}"


def label_percent(low: float, _high: float) -> str:
    """Name a bin of shares as a percentage."""
    return f"{low:.0%}"


def label_power_of_ten(low: float, _high: float) -> str:
    """Name a bin of logarithms to base 10 by the number itself."""
    return f"{10**low:g}"


def build_bar_chart(histogram: Histogram, label: BinLabel) -> Chart:
    """Build a bar chart in which the counts of the splits are stacked."""
    totals = np.sum(list(histogram.counts.values()), axis=0)
    most = max(int(totals.max(initial=0)), 1)
    texts = [label(low, high) for low, high in zip(histogram.edges, histogram.edges[1:], strict=False)]
    width = 1 / max(len(texts), 1)
    bars = tuple(
        StackedBar(
            number * width, width, _stack_parts(histogram, number, most), _title(text, histogram, number)
        )
        for number, text in enumerate(texts)
    )
    step = -(-len(texts) // 9)
    ticks = tuple(
        ((number + 0.5) * width, text.split("–")[0])
        for number, text in enumerate(texts)
        if number % step == 0
    )
    return Chart(bars, (), ticks, f"{most:,}")


def build_line_chart(histogram: Histogram, label: BinLabel, *, parts: int) -> Chart:
    """Build a line chart of each split's distribution, so that splits of different sizes can be compared.

    Args:
        histogram: Counts in bins of equal width.
        label: Names the ticks.
        parts: Number of parts that the ticks divide the axis into.
    """
    shares = {s: np.array(c) / max(sum(c), 1) for s, c in histogram.counts.items() if any(c)}
    most = max((float(line.max()) for line in shares.values()), default=1.0)
    bins = len(histogram.edges) - 1
    lines = tuple((split, _format_points(line / most, bins)) for split, line in shares.items())
    values = np.linspace(histogram.edges[0], histogram.edges[-1], parts + 1).tolist()
    ticks = tuple((number / parts, label(value, 0)) for number, value in enumerate(values))
    return Chart((), lines, ticks, f"{most:.0%}")


def build_co_occurrence_table(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Build a table shaded by the share of a row's images that also have the column's class.

    Args:
        counts: (n, n) images with both classes; on the diagonal, images with the class.
        names: The n class names.
    """
    shares = counts / np.maximum(np.diag(counts), 1)[:, None]
    rows = [
        [
            TableCell(
                float(shares[row, column]) if row != column else 0.0,
                f"{counts[row, column]:,}" if row == column else f"{shares[row, column]:.0%}",
                f"{name} and {other}: {format_count(counts[row, column], 'image')}",
            )
            for column, other in enumerate(names)
        ]
        for row, name in enumerate(names)
    ]
    return {"names": list(names), "rows": list(zip(names, rows, strict=True))}


def draw_heat_map(grid: NDArray[np.float64], *, smooth: bool) -> str:
    """Draw (n, n) counts as a picture in a data URI; without `smooth`, empty cells are transparent."""
    shares = np.sqrt(grid / max(float(grid.max(initial=0)), 1.0)) if not smooth else grid / max(grid.max(), 1)
    values = np.rint(shares * 255).astype(np.uint8)
    if smooth:
        values = np.asarray(
            cv2.resize(values, (HEAT_MAP_PIXELS, HEAT_MAP_PIXELS), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        return encode_data_uri(np.asarray(cv2.applyColorMap(values, cv2.COLORMAP_VIRIDIS), np.uint8))
    colors = cv2.applyColorMap(np.rint(235 - shares * 200).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    opacity = np.where(grid > 0, 255, 0).astype(np.uint8)
    return encode_data_uri(np.dstack([colors, opacity]), ".png")


def _stack_parts(histogram: Histogram, number: int, most: int) -> tuple[tuple[str, float, float], ...]:
    """Return the parts of one bar, stacked from the bottom."""
    parts, top = [], 1.0
    for split, counts in histogram.counts.items():
        height = counts[number] / most
        top -= height
        if height:
            parts.append((split, top, height))
    return tuple(parts)


def _title(text: str, histogram: Histogram, number: int) -> str:
    return f"{text}: " + ", ".join(
        f"{split} {counts[number]:,}" for split, counts in histogram.counts.items()
    )


def _format_points(line: NDArray[np.float64], bins: int) -> str:
    return " ".join(f"{(number + 0.5) * 100 / bins:.2f},{100 - y * 96:.2f}" for number, y in enumerate(line))
