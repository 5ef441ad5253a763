"""From figures to what the templates draw: bars, lines, tables of shades, heat maps as small pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.text import format_count
from pipeline.prepare.report.histograms import Histogram
from pipeline.visualize.pages.render import data_uri

HEAT: Final = 288
"""Pixels of a smooth heat map's side."""


class StackedBar(NamedTuple):
    """One stacked bar, in shares of the chart.

    Attributes:
        left: Of the chart's width.
        width: Of the chart's width.
        parts: For each split its name, the top and the height of its part, of the chart's height.
        title: What a reader who points at it is told.
    """

    left: float
    width: float
    parts: tuple[tuple[str, float, float], ...]
    title: str


class Chart(NamedTuple):
    """Bars or lines, and what stands below them.

    Attributes:
        bars: Of a bar chart.
        lines: For each split its name and a path's points `x,y x,y ...` in a square of 100.
        ticks: Place (share of the width) and text.
        most: What the full height stands for.
    """

    bars: tuple[StackedBar, ...]
    lines: tuple[tuple[str, str], ...]
    ticks: tuple[tuple[float, str], ...]
    most: str


class TableCell(NamedTuple):
    """One cell of a table of shades: how strong it is (0..1), its text and its title."""

    shade: float
    text: str
    title: str


BinLabel = Callable[[float, float], str]
"""What the step between two edges is called."""


def whole(low: float, high: float) -> str:
    """Name a step of whole numbers."""
    return f"{low:.0f}" if high - low <= 1 else f"{low:.0f}–{high - 1:.0f}"


def side(low: float, high: float) -> str:
    """Name a step of pixels."""
    return f"{low:.0f}+" if high == float("inf") else f"<{high:.0f}" if not low else f"{low:.0f}–{high:.0f}"


def ratio(low: float, high: float) -> str:
    """Name the middle of a step of log2(width / height)."""
    middle = (low + high) / 2
    number = f"{2 ** abs(middle):.2g}"
    return f"{number}:1" if middle >= 0 else f"1:{number}"


def percent(low: float, _high: float) -> str:
    """Name a share."""
    return f"{low:.0%}"


def power(low: float, _high: float) -> str:
    """Name a logarithm to base 10 by its number."""
    return f"{10**low:g}"


def bars(histogram: Histogram, label: BinLabel) -> Chart:
    """Stack the splits' counts."""
    totals = np.sum(list(histogram.counts.values()), axis=0)
    most = max(int(totals.max(initial=0)), 1)
    texts = [label(low, high) for low, high in zip(histogram.edges, histogram.edges[1:], strict=False)]
    step = 1 / max(len(texts), 1)
    found = tuple(
        StackedBar(place * step, step, _stacked(histogram, place, most), _title(text, histogram, place))
        for place, text in enumerate(texts)
    )
    every = -(-len(texts) // 9)
    ticks = tuple(
        ((place + 0.5) * step, text.split("–")[0]) for place, text in enumerate(texts) if place % every == 0
    )
    return Chart(found, (), ticks, f"{most:,}")


def lines(histogram: Histogram, label: BinLabel, *, parts: int) -> Chart:
    """Draw each split's distribution as a line, so that splits of unlike size can be compared.

    Args:
        histogram: Of even steps.
        label: What the ticks are called.
        parts: Into so many the ticks divide the axis.
    """
    shares = {s: np.array(c) / max(sum(c), 1) for s, c in histogram.counts.items() if any(c)}
    most = max((float(line.max()) for line in shares.values()), default=1.0)
    steps = len(histogram.edges) - 1
    drawn = tuple((split, _points(line / most, steps)) for split, line in shares.items())
    places = np.linspace(histogram.edges[0], histogram.edges[-1], parts + 1).tolist()
    ticks = tuple((place / parts, label(value, 0)) for place, value in enumerate(places))
    return Chart((), drawn, ticks, f"{most:.0%}")


def matrix(counts: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """Shade (n, n) counts by the share of a row's images that have the column's class too."""
    of = np.maximum(np.diag(counts), 1)[:, None]
    shares = counts / of
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


def heat(grid: NDArray[np.float64], *, smooth: bool) -> str:
    """Return (n, n) counts as a picture in a data URI; empty cells of one that is not smooth are clear."""
    shares = np.sqrt(grid / max(float(grid.max(initial=0)), 1.0)) if not smooth else grid / max(grid.max(), 1)
    values = np.rint(shares * 255).astype(np.uint8)
    if smooth:
        values = np.asarray(cv2.resize(values, (HEAT, HEAT), interpolation=cv2.INTER_CUBIC), np.uint8)
        return data_uri(np.asarray(cv2.applyColorMap(values, cv2.COLORMAP_VIRIDIS), np.uint8))
    shaded = cv2.applyColorMap(np.rint(235 - shares * 200).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    clear = np.where(grid > 0, 255, 0).astype(np.uint8)
    return data_uri(np.dstack([shaded, clear]), ".png")


def _stacked(histogram: Histogram, place: int, most: int) -> tuple[tuple[str, float, float], ...]:
    parts, top = [], 1.0
    for split, counts in histogram.counts.items():
        height = counts[place] / most
        top -= height
        if height:
            parts.append((split, top, height))
    return tuple(parts)


def _title(text: str, histogram: Histogram, place: int) -> str:
    return f"{text}: " + ", ".join(f"{split} {counts[place]:,}" for split, counts in histogram.counts.items())


def _points(line: NDArray[np.float64], steps: int) -> str:
    return " ".join(f"{(place + 0.5) * 100 / steps:.2f},{100 - y * 96:.2f}" for place, y in enumerate(line))
