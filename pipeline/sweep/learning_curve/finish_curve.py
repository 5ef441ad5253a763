"""Finish a sweep that draws a learning curve: build it, log it, and write its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pipeline.compose.stage import ParamValues
from pipeline.config.schema import parse_config
from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.sweep.learning_curve.build_curve import build_learning_curve
from pipeline.sweep.learning_curve.curve_page import render_curve_page
from pipeline.sweep.learning_curve.describe_curve import curve_to_json, describe_learning_curve
from pipeline.sweep.learning_curve.mlflow_log import PAGE_FILE
from pipeline.sweep.learning_curve.published_weights import remark_on_weights
from pipeline.sweep.learning_curve.zero_shot import add_zero_shot
from pipeline.sweep.report.mlflow_log import SweepLog
from pipeline.sweep.report.points import SweepSummary

SEED = 0
"""Of the resamples and draws: the same trainings give the same curve."""


class FinishedCurve(NamedTuple):
    """What is printed of a learning curve.

    Attributes:
        lines: For the terminal.
        values: As JSON.
    """

    lines: list[str]
    values: dict[str, Any]


def finish_learning_curve(
    summary: SweepSummary, log: SweepLog, project: Path, values: ParamValues | None
) -> FinishedCurve:
    """Build the learning curve of a sweep, log it, and write its page to the folder of the sweep.

    Args:
        summary: Of the sweep, whose trainings may not all have ended.
        log: Of the sweep.
        project: The project's folder.
        values: The configuration of the sweep's first point, by which a zero-shot model is asked; None while
            trainings are missing, as after Ctrl-C: its predictions take time.

    Raises:
        UserError: The trainings cannot be compared.
    """
    curve = build_learning_curve(summary, project, seed=SEED)
    if values is not None:
        curve = curve._replace(remarks=(*curve.remarks, *remark_on_weights(values, curve.task)))
        log.log_curve(summary, curve)  # before a model is asked that may fail in ways of its own
        curve = add_zero_shot(curve, parse_config(values), seed=SEED)
    log.log_curve(summary, curve)
    page = create_scratch_folder("sweeps", summary.name) / PAGE_FILE
    write_file(page, render_curve_page(curve))
    lines = describe_learning_curve(curve, summary.list_jobs("failed", "killed"))
    return FinishedCurve([*lines, f"page: {page}"], curve_to_json(curve))
