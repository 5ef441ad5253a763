"""Plots of an evaluation beside its curves: calibration of the scores, and metrics of slices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.visualize.fonts import choose_families, replace_missing_letters, shorten_names
from pipeline.visualize.plots import FAINT_COLOR, LINE_COLORS, PLOT_STYLE, TEXT_COLOR


def plot_reliability(
    bins: tuple[IntArray, FloatArray, FloatArray], target: Path, *, title: str, error: float | None
) -> None:
    """Plot the share of right predictions over their score, and below it how many there are of each score.

    Args:
        bins: Of equal width from 0 to 1: the number of predictions, their mean score, and the share that is
            right; NaN where there are none.
        target: The PNG to write.
        title: The title.
        error: The expected calibration error; None where there are no predictions.
    """
    counts, scores, right = bins
    width = 1 / len(counts)
    places = (np.arange(len(counts)) + 0.5) * width
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(6.2, 6.4), layout="constrained")
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        tenths = np.linspace(0, 1, 11)
        upper.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xticks=tenths, yticks=tenths)
        upper.set_ylabel("Share that is right")
        upper.plot([0, 1], [0, 1], color=TEXT_COLOR, linewidth=1, linestyle="--", label="calibrated")
        label = "predictions" if error is None else f"predictions  ECE {error:.3f}"
        upper.bar(places, np.nan_to_num(right), 0.92 * width, color=LINE_COLORS[5], label=label)
        upper.plot(scores, right, "o", color=LINE_COLORS[0], markersize=5, label="at their mean score")
        upper.legend(loc="upper left")
        lower.bar(places, counts, 0.92 * width, color=FAINT_COLOR)
        lower.set(xlabel="Confidence", ylabel="Predictions")
        lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        _save_figure(figure, target)


def plot_slices(
    names: Sequence[str], values: Sequence[float], target: Path, *, metric: str, overall: float
) -> None:
    """Plot a metric of each slice as a point, the lowest first, and the value of all images as a line.

    Args:
        names: Of the slices, at least one, such as `brightness=low (18)`.
        values: The metric of each.
        target: The PNG to write.
        metric: Its name.
        overall: Its value on all images.
    """
    order = np.argsort(values, kind="stable")[::-1]
    labels = _format_labels([names[place] for place in order])
    with mpl.rc_context({**PLOT_STYLE, "font.family": choose_families(names)}):
        figure = Figure(figsize=(7.4, 1.5 + 0.26 * len(names)), layout="constrained")
        axes = figure.add_subplot()
        title = f"{metric} of the slices of the test split (line: all images, {overall:.3f})"
        axes.set(title=title, xlabel=metric, xlim=(0, 1))
        axes.axvline(overall, color=TEXT_COLOR, linewidth=1, linestyle="--")
        axes.plot(np.array(values)[order], range(len(names)), "o", color=LINE_COLORS[0])
        axes.set_yticks(range(len(names)), labels)
        axes.set_ylim(-0.6, len(names) - 0.4)
        _save_figure(figure, target)


def _format_labels(names: Sequence[str]) -> list[str]:
    """Return names as labels: matplotlib reads text between dollar signs as a formula."""
    return [name.replace("$", r"\$") for name in shorten_names(replace_missing_letters(names))]


def _save_figure(figure: Figure, target: Path) -> None:
    figure.savefig(target, dpi=130, metadata={"Software": None})  # the same input gives the same bytes
