"""Render the page of a comparison: one HTML file that needs no other and no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.comparison.compare_models import ComparedModel, align_models
from pipeline.comparison.comparison_report import ComparisonReport, describe_verdicts
from pipeline.comparison.comparison_result import ModelComparison
from pipeline.comparison.page.image_rows import build_image_rows
from pipeline.comparison.page.interval_chart import build_interval_chart
from pipeline.comparison.page.model_curves import ModelCurve, compute_model_curves
from pipeline.comparison.text_report import LETTERS, format_p_value
from pipeline.core.metric_names import get_main_metric
from pipeline.visualize.pages.render import render_page
from pipeline.visualize.plots import LINE_COLORS

MAX_ROWS: Final = 40
"""Classes or slices in a chart."""


def render_comparison_page(report: ComparisonReport, models: Sequence[ComparedModel], root: Path) -> str:
    """Render the page.

    Args:
        report: The comparison.
        models: The models with their predictions as they were stored.
        root: The folder with data/prepared, for pictures.
    """
    aligned = align_models(models)
    curves = [compute_model_curves(model) for model in aligned]
    pairs = [
        _build_pair(report, place, (aligned[0], aligned[place]), (models[0], models[place]), root)
        for place in range(1, len(models))
    ]
    return render_page(
        "compare.html",
        name=report.name,
        test=report.test,
        models=[
            {"letter": letter, "label": model.label, "color": _get_color(place), "first": place == 0}
            for place, (letter, model) in enumerate(zip(LETTERS, report.models, strict=False))
        ],
        differences=report.differences,
        pairs=pairs,
        charts=[
            _build_curve_chart("Precision and recall", "recall", [each.precision for each in curves]),
            _build_curve_chart("F1 and confidence", "confidence threshold", [each.f1 for each in curves]),
        ],
        main_metric=get_main_metric(report.test.task),
        remarks=report.remarks,
        resamples=report.resamples,
    )


def _build_pair(
    report: ComparisonReport,
    place: int,
    aligned: tuple[ComparedModel, ComparedModel],
    models: tuple[ComparedModel, ComparedModel],
    root: Path,
) -> dict[str, Any]:
    found = report.comparisons[place - 1]
    originals = (models[0].trainings[0], models[1].trainings[0])
    return {
        "letter": LETTERS[place],
        "first": found.first,
        "second": found.second,
        "sentence": describe_verdicts(report)[place - 1],
        "verdict": _name_verdict(found),
        "p": format_p_value(found.main.p_value),
        "figures": build_interval_chart([found.main, *found.figures]),
        "classes": build_interval_chart(found.classes[:MAX_ROWS]),
        "more_classes": max(0, len(found.classes) - MAX_ROWS),
        "slices": build_interval_chart(found.slices[:MAX_ROWS]),
        "more_slices": max(0, len(found.slices) - MAX_ROWS),
        "images": build_image_rows(aligned, originals, root),
    }


def _name_verdict(found: ModelComparison) -> str:
    return found.verdict if found.verdict in ("better", "worse") else "unclear"


def _get_color(place: int) -> str:
    return LINE_COLORS[place % len(LINE_COLORS)]


def _build_curve_chart(title: str, x_label: str, curves: Sequence[ModelCurve]) -> dict[str, Any]:
    return {
        "title": title,
        "x_label": x_label,
        "lines": [
            {"color": _get_color(place), "points": _format_points(curve), "letter": LETTERS[place]}
            for place, curve in enumerate(curves)
        ],
    }


def _format_points(curve: ModelCurve) -> str:
    """Return the points of an SVG polyline, in percent of width and height; y points down."""
    return " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in zip(curve.x, curve.y, strict=True))
