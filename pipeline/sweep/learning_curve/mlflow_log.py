"""Log a learning curve to the parent run of its sweep."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from pipeline.sweep.learning_curve.curve_page import render_curve_page
from pipeline.sweep.learning_curve.curve_size import LearningCurve
from pipeline.sweep.learning_curve.describe_curve import build_size_cells, curve_to_json

PAGE_FILE: Final = "learning_curve.html"
JSON_FILE: Final = "learning_curve.json"


class CurveSession(Protocol):
    """What is used of `tracking.session.RunSession`."""

    def log_metrics(self, values: dict[str, Any], *, step: int | None = None) -> None:
        """Log numbers, with a step as points of curves."""

    def set_tags(self, values: dict[str, Any]) -> None:
        """Set tags."""

    def set_description(self, markdown: str) -> None:
        """Set the text of the run's page."""

    def log_text(self, content: str, file: str) -> None:
        """Upload a text as a file."""


def log_learning_curve(session: CurveSession, curve: LearningCurve) -> None:
    """Log the scores as a curve over the number of images, the forecasts, the page, and the answer."""
    for size, found in zip(curve.sizes, curve.intervals, strict=True):
        session.log_metrics({f"curve/{curve.metric}": found.mean}, step=round(size.images))
    for each in curve.forecasts:
        gains = {"gain": each.gain, "gain_low": each.low, "gain_high": each.high, "score": each.score}
        session.log_metrics({f"forecast/{each.times:g}x/{name}": value for name, value in gains.items()})
    if curve.zero_shot:
        session.log_metrics({f"zero_shot/{curve.metric}": curve.zero_shot.score})
    session.set_tags({"finetrack.curve": curve.sentence, "finetrack.curve.verdict": curve.verdict})
    session.set_description(describe_for_mlflow(curve))
    values = json.dumps(curve_to_json(curve), indent=2, ensure_ascii=False, allow_nan=False)
    session.log_text(values, JSON_FILE)
    session.log_text(render_curve_page(curve), PAGE_FILE)


def describe_for_mlflow(curve: LearningCurve) -> str:
    """Return the description of the parent run as Markdown: answer, scores, remarks."""
    scores = [f"- {row[0]} images: {row[2]} ({row[3]})" for row in build_size_cells(curve)[1:]]
    remarks = [f"- {remark}" for remark in curve.remarks]
    return "\n".join(
        [
            f"**{curve.sentence}**",
            "",
            f"Test {curve.metric}:",
            "",
            *scores,
            "",
            *remarks,
            "",
            f"`{curve.command}`",
        ]
    )
