"""Draw the learning curves of all jobs; pruned ones are dashed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import plotly.graph_objects as go
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from pipeline.sweep.study.pictures.picture_study import JobCurve

_MOST_NAMED_CURVES: Final = 20
"""With more curves a legend would hide the picture; the page names a curve under the mouse."""


def draw_curves_page(curves: Sequence[JobCurve], metric: str) -> Any:
    """Draw curves with plotly."""
    figure = go.Figure()
    for curve in curves:
        figure.add_trace(
            go.Scatter(
                x=list(curve.values),
                y=list(curve.values.values()),
                name=curve.label,
                mode="lines+markers",
                line={"dash": "dot" if curve.pruned else "solid"},
            )
        )
    return figure.update_layout(
        xaxis_title="epoch", yaxis_title=metric, showlegend=len(curves) <= _MOST_NAMED_CURVES
    )


def draw_curves_image(curves: Sequence[JobCurve], metric: str) -> Axes:
    """Draw curves with matplotlib."""
    plt.style.use("ggplot")  # as Optuna's pictures
    _, axes = plt.subplots()
    for curve in curves:
        style = ":" if curve.pruned else "-"
        axes.plot(list(curve.values), list(curve.values.values()), style, marker=".", label=curve.label)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(metric)
    if len(curves) <= _MOST_NAMED_CURVES:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize="small")
    return axes
