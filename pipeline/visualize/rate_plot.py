"""Plot a test of learning rates: the loss over a rising rate, and the rate that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from pipeline.visualize.plots import FAINT_COLOR, LINE_COLORS, PLOT_STYLE, TEXT_COLOR


def plot_rate_test(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], *, chosen: float, target: Path
) -> None:
    """Plot the loss of a rate test over the rate, which is on a logarithmic scale.

    Args:
        rates: Of the steps; may be empty.
        losses: Of the steps, as multiples of the loss of the base weights.
        smoothed: The same, averaged over neighbours.
        chosen: The chosen rate, which is marked.
        target: The PNG to write.
    """
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(8.6, 5.4), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(rates, losses, color=FAINT_COLOR, marker="o", markersize=3, linewidth=0.8, label="step")
        axes.plot(rates, smoothed, color=LINE_COLORS[0], label="average of neighbours")
        axes.axvline(
            chosen, color=TEXT_COLOR, linewidth=1, linestyle=(0, (4, 3)), label=f"chosen: {chosen:g}"
        )
        axes.set(title="Test of learning rates", xlabel="Learning rate", xscale="log")
        axes.set(ylabel="Loss, as a multiple of the base weights'")
        axes.legend()
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, dpi=130, metadata={"Software": None})  # equal input gives equal bytes
