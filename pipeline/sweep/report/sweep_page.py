"""The page of a sweep: the best point, pictures, the space and all points, in one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from pipeline.runtime.progress import format_duration
from pipeline.sweep.report.pictures import PageGraph, read_plotly_script
from pipeline.sweep.report.points import SweepSummary
from pipeline.sweep.report.results_table import (
    build_point_cells,
    describe_best,
    describe_savings,
    sort_points,
)
from pipeline.visualize.pages.render import render_page

MAX_ROWS: Final = 300
"""Points in the table of the page."""


class PageTile(NamedTuple):
    """A number at the top of the page.

    Attributes:
        value: The number.
        text: What it is.
        bad: Whether it is bad news.
    """

    value: str
    text: str
    bad: bool = False


def render_sweep_page(
    summary: SweepSummary,
    graphs: Sequence[PageGraph],
    *,
    space: Mapping[str, str],
    config: str = "",
    config_name: str | None = None,
) -> str:
    """Render the page; it needs no other file and no network.

    Args:
        summary: The sweep.
        graphs: The pictures.
        space: What each key may be, by the key.
        config: The text of best.yaml; empty without one.
        config_name: The name of the file in conf/experiment; None without one.
    """
    points = sort_points(summary)
    kinds = list(dict.fromkeys(point.kind for point in summary.points if point.kind))
    best = [line.strip().split("`") for line in describe_best(summary, config_name)]
    savings = [[line] for line in describe_savings(summary)]
    return render_page(
        "sweep.html",
        name=summary.name,
        kind=kinds[0] if len(kinds) == 1 else "",
        command=summary.shown_command,
        tiles=list_tiles(summary),
        best=[*best, *savings] or [["no training came to its end yet"]],
        config=config,
        pictures=[graph._replace(json=Markup(graph.json)) for graph in graphs],
        script=Markup(read_plotly_script()) if graphs else "",
        space=space,
        rows=_build_table(summary, len(points)),
        hidden=max(0, len(points) - MAX_ROWS),
    )


def list_tiles(summary: SweepSummary) -> list[PageTile]:
    """Return the numbers at the top: best score, points, jobs by how they ended, time."""
    winner = summary.winner
    tiles = []
    if winner is not None and winner.mean is not None:
        tiles.append(PageTile(f"{winner.mean:.4f}", f"best val {winner.metric}"))
    tiles.append(PageTile(str(len(summary.points)), "points" if len(summary.points) != 1 else "point"))
    for status in ("trained", "restored", "pruned", "failed", "killed"):
        count = len(summary.list_jobs(status))
        if count or status == "trained":
            tiles.append(PageTile(str(count), f"jobs {status}", bad=status in ("failed", "killed")))
    seconds = sum(result.seconds for result in summary.results)
    tiles.append(PageTile(format_duration(seconds), "of all jobs together"))
    return tiles


def _build_table(summary: SweepSummary, count: int) -> dict[str, Any]:
    head, *rows = build_point_cells(summary)
    best = {point.number for point in summary.best}
    status = head.index("status")
    numbers = range(status)
    points = sort_points(summary)
    body = [
        {
            "leading": point.number in best,
            "cells": [
                {"text": text, "number": place in numbers, "status": point.status if place == status else ""}
                for place, text in enumerate(row)
            ],
        }
        for point, row in zip(points[: min(count, MAX_ROWS)], rows, strict=False)
    ]
    return {
        "head": [{"text": text, "number": place in numbers} for place, text in enumerate(head)],
        "body": body,
    }
