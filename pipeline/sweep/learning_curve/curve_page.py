"""The page of a learning curve: the answer, the curve as a picture, and the tables, in one HTML file."""

from __future__ import annotations

import math
from typing import Any, Final

from pipeline.sweep.learning_curve.curve_size import LearningCurve
from pipeline.sweep.learning_curve.describe_curve import build_forecast_cells, build_size_cells
from pipeline.visualize.pages.render import render_page

_STEPS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Distances of the lines of the scale of scores."""
_MOST_LINES: Final = 6


def render_curve_page(curve: LearningCurve) -> str:
    """Render the page; it needs no other file, no script and no network."""
    return render_page(
        "learning_curve.html",
        curve=curve,
        chart=build_curve_chart(curve) if curve.sizes else None,
        sizes=build_size_cells(curve),
        forecasts=build_forecast_cells(curve) if curve.forecasts else [],
    )


def build_curve_chart(curve: LearningCurve) -> dict[str, Any]:
    """Return places in percent of the chart's width and height; images are on a logarithmic scale.

    Args:
        curve: With one size or more.
    """
    most = curve.course[-1].images if curve.course else curve.sizes[-1].images
    chart = _Chart(curve, (curve.sizes[0].images, most))
    low = [chart.place(step.images, step.low) for step in curve.course]
    high = [chart.place(step.images, step.high) for step in curve.course]
    known = [step for step in curve.course if step.images <= curve.sizes[-1].images * 1.001]
    return {
        "band": " ".join([*low, *reversed(high)]),
        "course": " ".join(chart.place(step.images, step.score) for step in known),
        "forecast": " ".join(
            chart.place(step.images, step.score) for step in curve.course[max(0, len(known) - 1) :]
        ),
        "sizes": [
            {
                "left": chart.place_images(size.images),
                "top": chart.place_score(found.mean),
                "low": chart.place_score(found.low),
                "high": chart.place_score(found.high),
                "title": f"{size.images:,.0f} images: {found.mean:.4f}",
                "trainings": [chart.place_score(score) for score in size.test],
            }
            for size, found in zip(curve.sizes, curve.intervals, strict=True)
        ],
        "zero_shot": chart.place_score(curve.zero_shot.score) if curve.zero_shot else None,
        "now": chart.place_images(curve.sizes[-1].images),
        "x_ticks": [(chart.place_images(number), f"{number:,.0f}") for number in chart.list_numbers()],
        "y_ticks": [(chart.place_score(score), f"{score:.3g}") for score in chart.list_scores()],
    }


class _Chart:
    """The scales of the chart.

    Args:
        curve: What it shows.
        ends: The smallest and the largest number of images.
    """

    def __init__(self, curve: LearningCurve, ends: tuple[float, float]) -> None:
        scores = [score for size in curve.sizes for score in size.test]
        scores += [bound for each in curve.intervals for bound in (each.low, each.high)]
        scores += [bound for step in curve.course for bound in (step.low, step.high)]
        scores += [curve.zero_shot.score] if curve.zero_shot else []
        lowest, highest = min(scores), max(scores)
        reach = max(0.01, highest - lowest)
        self._step = next((step for step in _STEPS if reach / step <= _MOST_LINES), _STEPS[-1])
        self._low: float = self._step * math.floor(lowest / self._step)
        self._high: float = self._step * math.ceil((lowest + reach) / self._step)
        self._ends = ends
        self._curve = curve

    def place(self, images: float, score: float) -> str:
        """Return a point of an SVG line."""
        return f"{self.place_images(images):.2f},{self.place_score(score):.2f}"

    def place_images(self, images: float) -> float:
        """Return the place of a number of images, from the left, with a margin on both sides."""
        width = math.log(self._ends[1] / self._ends[0])
        return 4 + 92 * (math.log(images / self._ends[0]) / width if width else 0.5)

    def place_score(self, score: float) -> float:
        """Return the place of a score, from the top."""
        return 100 * (self._high - score) / (self._high - self._low)

    def list_numbers(self) -> list[float]:
        """List the numbers of images of the sizes and of the forecasts."""
        return [
            *(size.images for size in self._curve.sizes),
            *(float(each.images) for each in self._curve.forecasts),
        ]

    def list_scores(self) -> list[float]:
        """List the scores of the lines."""
        count = round((self._high - self._low) / self._step)
        return [self._low + number * self._step for number in range(count + 1)]
